"""A rule of nft's JSON in short, nearly as nft would print it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def rule_text(rule: Sequence[Mapping[str, Any]]) -> str:
    """One line."""
    return " ".join(filter(None, map(said, rule)))


def said(expression: Any) -> str:
    """A statement or an expression; what is not known as its JSON."""
    if isinstance(expression, list):
        return ", ".join(map(said, expression))
    if not isinstance(expression, dict) or len(expression) != 1:
        return "" if expression is None else str(expression)
    [(kind, body)] = expression.items()
    if kind in _SAID:
        return _SAID[kind](body)
    if kind in ("&", "|", "^", "<<", ">>"):
        return f" {kind} ".join(f"{part:#x}" if isinstance(part, int) else said(part) for part in body)
    return str(kind) if body is None else f"{kind} {json.dumps(body)}"


def _match(body: Mapping[str, Any]) -> str:
    operator = "" if body["op"] in ("==", "in") else f"{body['op']} "
    return f"{said(body['left'])} {operator}{said(body['right'])}"


def _nat(kind: str) -> Callable[[Any], str]:
    return lambda body: " ".join(filter(None, (kind, "to", said((body or {}).get("addr")))))


_SAID: Mapping[str, Callable[[Any], str]] = {
    "counter": lambda _: "",
    "log": lambda _: "",
    "match": _match,
    "payload": lambda body: f"{body.get('protocol')} {body.get('field')}",
    "meta": lambda body: str(body["key"]) if body["key"].endswith("name") else f"meta {body['key']}",
    "ct": lambda body: f"ct {body['key']}",
    "fib": lambda body: f"fib {said(body.get('flags'))} {body.get('result')}",
    "prefix": lambda body: f"{body['addr']}/{body['len']}",
    "range": lambda body: "-".join(map(said, body)),
    "elem": lambda body: said(body.get("val")),
    "mangle": lambda body: f"{said(body['key'])} set {said(body['value'])}",
    "jump": lambda body: f"jump {body['target']}",
    "goto": lambda body: f"goto {body['target']}",
    "vmap": lambda body: f"{said(body['key'])} vmap {said(body['data'])}",
    "set": lambda body: f"{{ {said(body)} }}",
    "concat": lambda body: " . ".join(map(said, body)),
    "dnat": _nat("dnat"),
    "snat": _nat("snat"),
}
