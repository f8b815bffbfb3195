"""What a person is told when a command cannot do what it was asked."""

from __future__ import annotations


class CliError(Exception):
    """One sentence; exit status 2."""
