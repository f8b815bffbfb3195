"""The chains that hang on the kernel's hooks, and the order in which a packet meets them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vpccni.cli.netfilter.packet import NAT_SIDE, Hook, Verdict, Walk

NAT_PRIORITY = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.POSTROUTING: 100, Hook.INPUT: 100}
"""Where the kernel asks all NAT chains of a hook, one after the other by their own priorities, whatever those are."""


class BaseChain(Protocol):
    """A chain on a hook, of whichever packet filter."""

    @property
    def hook(self) -> Hook:
        """Where it hangs."""

    @property
    def priority(self) -> int:
        """Chains of a hook are asked from the smallest to the greatest."""

    @property
    def is_nat(self) -> bool:
        """Whether it is asked for the first packet of a connection only, and until one of its like has translated."""

    def run(self, walk: Walk) -> Verdict:
        """The packet meets the chain."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All base chains of the host."""

    chains: tuple[BaseChain, ...] = ()

    def run(self, walk: Walk, hook: Hook) -> Verdict:
        """The first packet of a connection at one hook."""
        for chain in self._at(hook):
            if chain.is_nat and NAT_SIDE[hook] in walk.translated:
                continue
            walk.verdict = chain.run(walk)
            if walk.verdict is not Verdict.ACCEPT:
                break
        return walk.verdict

    def _at(self, hook: Hook) -> Sequence[BaseChain]:
        chains: Iterable[BaseChain] = (chain for chain in self.chains if chain.hook is hook)
        return sorted(chains, key=lambda chain: (_slot(chain), chain.priority))


def _slot(chain: BaseChain) -> int:
    return NAT_PRIORITY[chain.hook] if chain.is_nat else chain.priority
