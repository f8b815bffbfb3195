"""How AWS's clients on the machine itself come to the lab's API."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
"""What would outdo these variables."""
EKSCTL = ("EKS", "EC2", "CLOUDFORMATION", "IAM", "STS")
"""Services whose endpoint eksctl, and the original's agent, take from a variable of their own (aws-emulation 1b)."""


def client_environment(url: str, region: str, account: str, *, key_id: str, secret: str) -> dict[str, str]:
    """Variables that every SDK reads, eksctl's own, and the account."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        **{f"AWS_{service}_ENDPOINT": url for service in EKSCTL},
        "ACCOUNT_ID": account,
    }


def as_exports(variables: Mapping[str, str]) -> str:
    """Lines for a shell's eval."""
    lines = [f"unset {' '.join(UNSET)}"]
    return "\n".join([*lines, *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())])
