"""Writes the list of AWS operations in docs/aws.md anew, from the services' registries.

python tools/list_aws_operations.py
"""

from __future__ import annotations

from pathlib import Path

from vpclab.aws.services import SERVICES

PAGE = Path(__file__).parents[1] / "docs" / "aws.md"
BEGIN, END = "<!-- operations: made by tools/list_aws_operations.py -->", "<!-- end of operations -->"


def listing() -> str:
    """The list, a service a paragraph."""
    parts = []
    for service in sorted(SERVICES, key=lambda one: one.name):
        names = ", ".join(sorted(service.operations))
        parts.append(f"**{service.name}** ({len(service.operations)}): {names}")
    return "\n\n".join(parts)


def renewed(text: str) -> str:
    """The page with the list as it is now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{listing()}\n\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
