"""Who is told of what becomes of pods, beside the runtime: nothing that they do may fail or delay a call."""

from __future__ import annotations

from vpccni.ipam.reasons import Refusal
from vpccni.ipam.values import Address, Pod


class Onlooker:
    """Told of everything, and does nothing of it: the base of those who do."""

    def given(self, pod: Pod, address: Address) -> None:
        """The pod has its (first) address."""

    def taken_back(self, pod: Pod, address: Address) -> None:
        """The pod has it no more."""

    def no_address(self, pod: Pod, refusal: Refusal) -> None:
        """The pod was refused one."""

    def denied(self, action: str) -> None:
        """The node's role may not make this EC2 call ("AssignPrivateIpAddresses")."""
