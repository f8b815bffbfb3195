"""What the node's agent says over its sockets, and what it leaves on disk. It may be dead, or another version."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from vpccni.agent.settings import Settings, parse_settings
from vpccni.ipam.checkpoint import Checkpoint, CheckpointError, apply_journal, decode_checkpoint

TIMEOUT = 5.0
PLUGIN_SOCKET, GRPC_SOCKET = "cni.sock", "ipamd.sock"


class AgentSilentError(Exception):
    """The agent did not answer; the text says how."""


@dataclass(frozen=True, slots=True)
class KnownSettings:
    """The agent's settings, and how they became known."""

    settings: Settings
    source: str
    bad: tuple[str, ...] = ()
    """Values that it could not use."""


@dataclass(frozen=True, slots=True)
class PodOf:
    """A pod's address."""

    name: str
    """Namespace and name."""
    address: IPv4Address


def ask(address: str, path: str) -> Any:
    """A path of the introspection server, at host:port or unix:/path. Raises AgentSilentError."""
    connection = _Unix(address) if address.startswith("unix:") else _tcp(address)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        found = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AgentSilentError(f"{address} does not answer {path}: {error}") from error
    finally:
        connection.close()
    if answer.status not in (200, 503):
        raise AgentSilentError(f"{address} answers {answer.status} to {path}")
    return found


def connects(path: Path) -> str | None:
    """Why nobody can be reached at a unix socket; None if somebody can."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(str(path))
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
    return None


def known_settings(run_dir: Path, environ: Mapping[str, str]) -> KnownSettings:
    """The agent's settings: of the process that listens on its socket, or else of our own environment.

    Run inside the agent's container that environment is the agent's; on the host it has next to nothing, and what is
    used are the defaults.
    """
    found = _listener_environment(run_dir / PLUGIN_SOCKET)
    source = "the running agent's environment" if found is not None else "this command's own environment"
    settings, bad = parse_settings(found if found is not None else environ)
    return KnownSettings(settings, source, tuple(map(str, bad)))


def read_checkpoint(path: Path) -> Checkpoint:
    """The file and its journal, as the agent would read them. Raises CheckpointError, OSError."""
    checkpoint = Checkpoint()
    with contextlib.suppress(FileNotFoundError):
        checkpoint = decode_checkpoint(path.read_bytes())
    with contextlib.suppress(FileNotFoundError):
        checkpoint = apply_journal(checkpoint, path.with_name(f"{path.stem}.journal").read_bytes())
    return checkpoint


def pods_on_node(address: str, checkpoint: Path) -> tuple[PodOf, ...]:
    """Every pod that has an IPv4 address: from the agent, or from what it wrote if it does not answer. Raises AgentSilentError."""
    try:
        return tuple(
            PodOf(f"{pod['namespace']}/{pod['name']}", IPv4Address(pod["address"]))
            for pod in ask(address, "/v2/pods")
            if ":" not in pod["address"]
        )
    except (AgentSilentError, LookupError, TypeError, ValueError) as silent:
        try:
            found = read_checkpoint(checkpoint).allocations
        except (CheckpointError, OSError) as error:
            raise AgentSilentError(f"{silent}, and {checkpoint} cannot be read: {error}") from None
        return tuple(
            PodOf(str(one.pod), one.address) for one in found if isinstance(one.address, IPv4Address)
        )


def _listener_environment(path: Path) -> dict[str, str] | None:
    """Of the process that listens on a unix socket; None if there is none, or it may not be looked at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(TIMEOUT)
        try:
            sock.connect(str(path))
            pid, _, _ = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            raw = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return None
    pairs = (os.fsdecode(entry).split("=", 1) for entry in raw.split(b"\0") if b"=" in entry)
    return {pair[0]: pair[1] for pair in pairs}


def _tcp(address: str) -> http.client.HTTPConnection:
    host, _, port = address.rpartition(":")
    return http.client.HTTPConnection(host.strip("[]") or "127.0.0.1", int(port), timeout=TIMEOUT)


class _Unix(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = address.removeprefix("unix:")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
