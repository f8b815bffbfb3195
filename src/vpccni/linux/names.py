"""Names of devices on the host (spec 4.2)."""

from __future__ import annotations

import hashlib
import re

from vpccni.ipam.values import Assignment, Pod

HASH_DIGITS = 11
HOST_VETH = re.compile(rf"(?:eni|[^/\s]{{1,4}})[0-9a-f]{{{HASH_DIGITS}}}")
"""The shape of our names under any prefix that we may have been given (spec 2: at most four characters)."""


def host_veth(prefix: str, pod: Pod, interface: int = 0) -> str:
    """The host's end of a pod's veth pair: the prefix and 11 digits of SHA-1 over namespace and name."""
    name = f"{pod.namespace}.{pod.name}" + (f".{interface}" if interface else "")
    return prefix + hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:HASH_DIGITS]


def interface_name(assignment: Assignment) -> str:
    """The pod's end: what the runtime named, and beside it mNicIf1, mNicIf2, … (spec 4.2)."""
    number = assignment.interface.index
    return f"mNicIf{number}" if number else assignment.key.interface


def is_host_veth(prefix: str, name: str) -> bool:
    """Whether the name has the shape of one of ours."""
    return re.fullmatch(re.escape(prefix) + rf"[0-9a-f]{{{HASH_DIGITS}}}", name) is not None
