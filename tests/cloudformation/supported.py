"""The part of docs/cloudformation.md that is made from the code: `python -m tests.cloudformation.supported` writes it anew."""

from collections.abc import Iterable
from pathlib import Path

from vpclab.cloudformation.functions import FUNCTIONS
from vpclab.cloudformation.parameter_types import AWS_TYPES
from vpclab.cloudformation.resource_type import Property, ResourceType, Update
from vpclab.cloudformation.template import PSEUDO
from vpclab.cloudformation.types import TYPES

DOC = Path(__file__).parents[2] / "docs" / "cloudformation.md"
BEGIN, END = "<!-- made by tests/cloudformation/supported.py -->", "<!-- end -->"


def rendered() -> str:
    lines = [BEGIN, "", "### Functions", "", _listed(sorted(FUNCTIONS)) + ", `Condition` in conditions.", ""]
    lines += ["### Pseudo parameters", "", _listed(sorted(PSEUDO)) + ".", ""]
    lines += [
        "### Parameter types",
        "",
        "`String`, `Number`, `List<Number>`, `CommaDelimitedList`, `AWS::SSM::Parameter::Name`, "
        + _listed(sorted(AWS_TYPES))
        + ", `List<…>` of these, and `AWS::SSM::Parameter::Value<…>` of any of them.",
        "",
        "### Resource types",
        "",
        "**Bold**: required. *Replaced*: another value makes another resource. *Taken*: accepted, without effect in the lab.",
        "",
    ]
    for name in sorted(TYPES):
        lines += _type(TYPES[name])
    return "\n".join([*lines, END])


def _type(kind: ResourceType) -> list[str]:
    def those(update: Update) -> Iterable[tuple[str, Property]]:
        return ((n, one) for n, one in kind.properties.items() if one.update is update and one.effect)

    rows = [
        ("Replaced", _properties(those(Update.REPLACE))),
        ("Changed in place", _properties(those(Update.MODIFY))),
        ("Taken", _properties((n, one) for n, one in kind.properties.items() if not one.effect)),
        ("Fn::GetAtt", _listed(sorted(kind.attributes))),
    ]
    lines = [f"**{kind.name}**" + (f" — {kind.note}" if kind.note else ""), ""]
    return [*lines, *(f"- {what}: {names}" for what, names in rows if names), ""]


def _properties(found: Iterable[tuple[str, Property]]) -> str:
    return ", ".join(
        f"**`{n}`**" if one.required else f"`{n}`" for n, one in sorted(found, key=lambda p: p[0])
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def with_rendered(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return before + rendered() + rest.partition(END)[2]


if __name__ == "__main__":
    DOC.write_text(with_rendered(DOC.read_text()))
