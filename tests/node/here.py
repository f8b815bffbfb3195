"""A place that is this very process: what runs in a node runs here."""

import subprocess
from collections.abc import Callable, Sequence
from typing import Any, cast

from vpclab.fabric import CommandError, Completed, Place


class Here:
    """As much of a Place as the node's parts use."""

    name = "here"

    async def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        return fn(*args)

    async def run(self, argv: Sequence[str], *, check: bool = True, **options: Any) -> Completed:
        try:
            done = subprocess.run(argv, capture_output=True, check=check, **options)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandError(self.name, argv, str(error)) from error
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())

    def spawn(self, argv: Sequence[str], **popen: Any) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(argv, **popen)
        except OSError as error:
            raise CommandError(self.name, argv, str(error)) from error


def here() -> Place:
    return cast("Place", Here())
