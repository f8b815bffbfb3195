"""Asking a running lab: one JSON line there, one back. Light to import: the command line needs no more."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from vpclab.lab.state import LabError

SECONDS = 300.0
"""A pod may wait a minute for an address, and a plugin two: who takes longer than this hangs."""


def ask(path: Path, op: str, **parameters: Any) -> Any:
    """The lab's answer.

    Args:
        path: its control socket.
        op: one of `vpclab.lab.control.HANDLERS`.
        parameters: of that.

    Raises:
        LabError: its answer is no, or it does not answer.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps({"op": op, **parameters}).encode() + b"\n")
            reply = b""
            while chunk := connection.recv(1 << 16):
                reply += chunk
        except FileNotFoundError:
            raise LabError(f"lab {path.parent.name} is still coming up; try again in a moment") from None
        except OSError as error:
            raise LabError(
                f"the lab's daemon does not answer on {path} ({error}); see daemon.log beside it"
            ) from None
    if not reply:
        raise LabError("the lab's daemon went away before it answered; see its daemon.log")
    answer = json.loads(reply)
    if "error" in answer:
        raise LabError(answer["error"])
    return answer["result"]
