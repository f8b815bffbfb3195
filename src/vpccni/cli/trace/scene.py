"""Everything that a trace is judged by, as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from vpccni.cli.cloud.values import NodeEni, Vpc
from vpccni.cli.kernel.source_check import DeviceSettings
from vpccni.cli.kernel.values import Network
from vpccni.cli.netfilter.hooks import Ruleset


@dataclass(frozen=True, slots=True)
class Scene:
    """The node at one moment, and what is known beyond it."""

    host: Network
    ruleset: Ruleset
    vpc: Vpc
    pod: Network | None = None
    """The sender's own namespace; None: the node's own, or one that could not be entered."""
    pod_unread: str = ""
    """Why the pod's namespace could not be entered."""
    settings: Mapping[str, DeviceSettings] = field(default_factory=dict, hash=False)
    """By device; one that is not in it is as a fresh one is."""
    enis: tuple[NodeEni, ...] = ()
    pods: Mapping[IPv4Address, str] = field(default_factory=dict, hash=False)
    """Address → namespace and name of the pods on this node."""

    def settings_of(self, device: str) -> DeviceSettings:
        """A device's sysctls."""
        return self.settings.get(device, DeviceSettings())

    def eni_of(self, device: str) -> NodeEni | None:
        """The ENI whose device it is."""
        found = self.host.named(device)
        return next((eni for eni in self.enis if found is not None and eni.mac == found.mac), None)
