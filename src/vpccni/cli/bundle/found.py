"""What was gathered for a bundle, before it is redacted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vpccni.cli.agent_view import AgentSilentError
from vpccni.cli.errors import CliError


@dataclass(slots=True)
class Found:
    """Texts and plain values by their name in the bundle, and what is missing."""

    plains: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, get: Callable[[], Any]) -> Any:
        """Keep what `get` gives under a name; None if it cannot."""
        try:
            self.plains[name] = get()
        except (CliError, AgentSilentError, OSError, LookupError, ValueError) as error:
            self.missing[name] = str(error)
        return self.plains.get(name)
