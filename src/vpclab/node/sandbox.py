"""A pod's sandbox: a network namespace of the node, and the names by which plugins are told of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vpclab.fabric import syscalls

NETNS_DIR = Path("/run/netns")
INTERFACE = "eth0"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One attempt to run a pod. `netns` is a path in the node's mount namespace, or "" once it is gone."""

    namespace: str
    name: str
    uid: str
    container_id: str
    netns: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """What the runtime offers to plugins that declare to want it: port mappings, annotations, …"""

    @classmethod
    def fresh(cls, namespace: str, name: str, uid: str, capabilities: Mapping[str, Any]) -> Sandbox:
        """A new one for a pod; its container ID is 64 hexadecimal digits, as containerd makes them."""
        container_id = uuid.uuid4().hex + uuid.uuid4().hex
        return cls(namespace, name, uid, container_id, f"{NETNS_DIR}/cni-{uuid.uuid4()}", capabilities)

    @property
    def args(self) -> tuple[tuple[str, str], ...]:
        """What CNI_ARGS holds, as kubelet's runtime gives it."""
        return (
            ("IgnoreUnknown", "1"),
            ("K8S_POD_NAMESPACE", self.namespace),
            ("K8S_POD_NAME", self.name),
            ("K8S_POD_INFRA_CONTAINER_ID", self.container_id),
            ("K8S_POD_UID", self.uid),
        )

    @property
    def cni_args(self) -> str:
        """CNI_ARGS."""
        return ";".join("=".join(pair) for pair in self.args)

    def without_netns(self) -> Sandbox:
        """As it is told of when its namespace is gone."""
        return replace(self, netns="")


def make_netns(path: str) -> int:
    """Make a network namespace, held by a bind mount, as `ip netns` does; a descriptor of it.

    Runs in a thread of the node, which goes in and comes back.

    Raises:
        OSError: the kernel refused; nothing is left.
    """
    Path(path).touch()
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            syscalls.mount("/proc/thread-self/ns/net", path, flags=syscalls.MS_BIND)
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            syscalls.setns(here, syscalls.CLONE_NEWNET)
    except OSError:
        Path(path).unlink()
        raise
    finally:
        os.close(here)


def remove_netns(path: str) -> None:
    """Let a namespace go; one that is gone is fine."""
    if Path(path).exists():
        syscalls.unmount(path)
        Path(path).unlink()
