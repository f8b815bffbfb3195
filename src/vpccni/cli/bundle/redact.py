"""What does not leave the node: keys, tokens, account numbers; names of pods if one wishes. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

GONE = "REDACTED"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), GONE),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), GONE),  # a JSON web token, as service accounts have them
    (re.compile(r"(X-Amz-(?:Signature|Security-Token|Credential)=)[^&\s\"']+"), rf"\1{GONE}"),
    (re.compile(r"(?i)(\bBearer\s+)[\w.~+/=-]+"), rf"\1{GONE}"),
    (
        re.compile(
            r"(?i)(\"?[\w-]*(?:secret|passw(?:or)?d|token|private_?key)[\w-]*\"?\s*[:=]\s*\"?)[^\s\",}&]+"
        ),
        rf"\1{GONE}",
    ),
    (re.compile(r"(?<![\w-])\d{12}(?![\w-])"), "ACCOUNT"),
    (
        re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b"),
        r"\1",
    ),  # a container's ID: its beginning finds it on the node
)
SALTED = 6
"""Characters of a pod's pseudonym."""


class Redactor:
    """Texts without what must not leave. The same name gets the same pseudonym throughout one bundle."""

    def __init__(self, *, salt: str = "", names: Iterable[str] = ()) -> None:
        """`names`: pods' names and namespaces that are to be hidden; `salt` keeps a pseudonym from being guessed."""
        hidden = {
            name: hashlib.sha256(f"{salt}/{name}".encode()).hexdigest()[:SALTED] for name in names if name
        }
        self._pseudonyms = {name: f"name-{code}" for name, code in hidden.items()}
        longest = sorted(map(re.escape, self._pseudonyms), key=len, reverse=True)
        self._names = re.compile(rf"(?<![\w-])(?:{'|'.join(longest)})(?![\w-])") if longest else None

    def text(self, text: str) -> str:
        """A text that may leave."""
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        if self._names is not None:
            text = self._names.sub(lambda found: self._pseudonyms[found.group()], text)
        return text

    def plain(self, value: Any) -> str:
        """JSON that may leave. Values are redacted, not the text, so that it stays JSON whatever is in them."""
        return json.dumps(self._walk(value), indent=1)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._walk(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._walk(each) for each in value]
        return value


def names_in(pods: Iterable[dict[str, Any]], decisions: Iterable[dict[str, Any]]) -> set[str]:
    """Names and namespaces of pods that the agent told of. What Kubernetes itself runs keeps its name."""
    found = {(str(pod.get("namespace", "")), str(pod.get("name", ""))) for pod in pods}
    for note in decisions:
        _, _, pod = str(note.get("what", "")).partition("for pod ")
        namespace, slash, name = pod.partition("/")
        if slash:
            found.add((namespace, name))
    kept = {"kube-system", "default", ""}
    return {name for pair in found for name in pair if pair[0] != "kube-system"} - kept
