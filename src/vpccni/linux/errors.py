"""Failures on the host: an OSError whose text is the sentence that a person reads, without a number before it."""

from __future__ import annotations


class KernelError(OSError):
    """What could not be done to the host's network: the errno (0 if it has none) and the sentence."""

    def __init__(self, code: int | None, sentence: str) -> None:
        super().__init__(code or 0, sentence)

    def __str__(self) -> str:
        return str(self.strerror)
