"""What the text of an environment variable may be. Each reader raises ValueError with what is wrong, as the end of a sentence."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import TypeVar

TRUE_WORDS = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE_WORDS = frozenset({"0", "f", "F", "FALSE", "false", "False"})
MTU_MIN, MTU_MAX = 576, 9001
MTU_MIN_IPV6 = 1280
RESERVED_TAG = "k8s.amazonaws.com"
LONGEST_TAG_KEY, LONGEST_TAG_VALUE = 128, 256
"""Characters (EC2's limits on tags)."""


def boolean(text: str) -> bool:
    """Go's strconv.ParseBool, as the original reads its flags (spec 2)."""
    if text in TRUE_WORDS:
        return True
    if text in FALSE_WORDS:
        return False
    raise ValueError("is not a boolean (true or false)")


def integer(text: str) -> int:
    """A whole number."""
    # int() would take blanks, underscores and other alphabets' digits; Go's strconv does not (spec 12)
    digits = text[1:] if text[:1] in {"+", "-"} else text
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("is not a whole number")
    return int(text)


def at_least(least: int) -> Callable[[str], int]:
    """A whole number from `least` on."""

    def parse(text: str) -> int:
        number = integer(text)
        if number < least:
            raise ValueError(f"is below {least}")
        return number

    return parse


def probability(text: str) -> float:
    """Of something that is seldom: not never, and at the most in half of all cases."""
    try:
        found = float(text)
    except ValueError:
        raise ValueError("is not a number such as 0.01") from None
    if not 0.0001 <= found <= 0.5:
        raise ValueError("is not between 0.0001 and 0.5")
    return found


def mtu_from(least: int) -> Callable[[str], int]:
    """An MTU that EC2 carries, in bytes."""

    def parse(text: str) -> int:
        number = integer(text)
        if not least <= number <= MTU_MAX:
            raise ValueError(f"is not between {least} and {MTU_MAX}")
        return number

    return parse


def listening_address(text: str) -> str:
    """host:port or unix:/path."""
    if text.startswith("unix:/"):
        return text
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError("is neither host:port nor unix:/path")
    return text


def mark(text: str) -> int:
    """A mark of packets, in any base that its beginning says."""
    try:
        number = int(text, 0)
    except ValueError:
        raise ValueError("is not a number such as 0x80") from None
    if not 0 < number <= 0xFFFFFFFF:
        raise ValueError("is not between 1 and 0xffffffff")
    return number


def veth_prefix(text: str) -> str:
    """The beginning of the host veths' names, which have eleven characters more."""
    if not 0 < len(text) <= 4:
        raise ValueError("is not 1 to 4 characters long")
    if text in {"eth", "lo", "vlan"}:
        raise ValueError("is the name of other interfaces")
    return text


def plugin_log(text: str) -> str:
    """A file's path, or stderr, which nothing stands for."""
    if text == "stdout":
        raise ValueError("would mix with the plugin's answer")
    return text or "stderr"


def cidr(text: str) -> IPv4Network:
    """An IPv4 block; bits of the host's are dropped."""
    if "/" not in text:
        raise ValueError("is not a CIDR such as 10.0.0.0/8")
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("is not an IPv4 CIDR such as 10.0.0.0/8") from None


E_ = TypeVar("E_", bound=enum.Enum)


def one_of(kind: type[E_]) -> Callable[[str], E_]:
    """A word of an enum, in any case."""

    def parse(text: str) -> E_:
        try:
            return kind(text.lower())
        except ValueError:
            raise ValueError(f"is not one of {', '.join(str(e.value) for e in kind)}") from None

    return parse


def texts(text: str) -> dict[str, str]:
    """A JSON object of strings; nothing is none."""
    if not text:
        return {}
    try:
        texts = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is not a JSON object of strings") from None
    if not isinstance(texts, dict) or not all(isinstance(v, str) for v in texts.values()):
        raise ValueError("is not a JSON object of strings")
    return texts


def tag_problem(key: str, value: str) -> str | None:
    """Why EC2, or the cluster, will not have a tag; one that EC2 refuses would keep every ENI from being made."""
    if RESERVED_TAG in key:
        return f"is a reserved key (it has {RESERVED_TAG} in it)"
    if key.lower().startswith("aws:"):
        return "is a key of AWS's own"
    if not 0 < len(key) <= LONGEST_TAG_KEY:
        return f"is not 1 to {LONGEST_TAG_KEY} characters long"
    if len(value) > LONGEST_TAG_VALUE:
        return f"has a value of more than {LONGEST_TAG_VALUE} characters"
    return None
