"""What the last run wrote down, a file for each network card, and pools that are brought to it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from vpccni.agent.node_pools import checkpoint_of
from vpccni.agent.store import Store
from vpccni.ipam.checkpoint import Checkpoint, CheckpointError, NewerCheckpointError, snapshot
from vpccni.ipam.decide import Ipam
from vpccni.ipam.restore import Restored, restore
from vpccni.ipam.values import Assignment, AttachedEni

log = logging.getLogger(__name__)


class LastRun:
    """Read once; this run goes on writing where it was found."""

    def __init__(self, checkpoint: Path) -> None:
        self._path = checkpoint
        self._default = Store(checkpoint)
        self.stores: dict[int, Store] = {}
        """By network card, once the pools are restored."""

    def read(self) -> Checkpoint:
        """Of the default card's pool. Raises SystemExit: a newer agent wrote it."""
        return _read(self._default)

    def restore(
        self,
        pools: Mapping[int, Ipam],
        attached: Iterable[AttachedEni],
        checkpoint: Checkpoint,
        alive: Callable[[Assignment], bool],
        now: float,
    ) -> tuple[list[Assignment], list[Assignment]]:
        """Give the pools, the default card's first, their ENIs and assignments; `checkpoint` is what `read` gave.

        -> pods on addresses that no ENI is known to hold, and pods that are not connected yet. What became of each is told.
        """
        entries = list(attached)
        unheld: list[Assignment] = []
        unwired: list[Assignment] = []
        for position, (card, ipam) in enumerate(pools.items()):
            store = Store(checkpoint_of(self._path, card, -1)) if position else self._default
            written = _read(store) if position else checkpoint
            on_card = [entry for entry in entries if entry.eni.network_card == card]
            restored = restore(ipam, on_card, written, alive, now, position=position)
            _tell(restored)
            unheld += restored.unheld
            unwired += restored.unwired
            store.snapshot = partial(_snapshot, ipam)
            self.stores[card] = store
        return unheld, unwired


def rewrite(store: Store) -> None:
    """Bring its file to what its pool has now. Blocking; raises OSError."""
    store.rewrite(store.snapshot())


def tell_of_found(found: Iterable[Assignment]) -> None:
    """Of pods that the host showed and no checkpoint."""
    for assignment in found:
        log.warning(
            "%s has %s, and no checkpoint tells whose that is: no other pod gets it until its pod is deleted",
            assignment.key.container_id,
            assignment.address,
        )


def _read(store: Store) -> Checkpoint:
    """What the last run left. A file that cannot be read is put aside, not trusted and not lost."""
    try:
        return store.load()
    except NewerCheckpointError as error:
        # starting empty beside pods that a newer agent knows could give one address to two of them
        log.critical("%s: %s", store.path, error)
        raise SystemExit(1) from error
    except CheckpointError as error:
        aside = store.path.with_suffix(".unreadable")
        log.error("%s: %s. It is moved to %s; addresses of pods that run are kept for them all the same",
                  store.path, error, aside)  # fmt: skip
        with contextlib.suppress(FileNotFoundError):
            store.path.rename(aside)
        return Checkpoint()


def _snapshot(ipam: Ipam) -> Checkpoint:
    return snapshot(ipam.pool.assignments(), ipam.pool.cooling())


def _tell(restored: Restored) -> None:
    for assignment in restored.stale:
        log.info("pod %s is gone, %s cools", assignment.pod, assignment.address)
    for assignment in restored.unheld:
        log.warning(
            "pod %s keeps %s, which no ENI is known to have (yet); its rules stay as they are",
            assignment.pod,
            assignment.address,
        )
    for assignment, why in restored.lost:
        log.error("pod %s loses %s: %s", assignment.pod, assignment.address, why)
    for assignment in restored.unwired:
        log.info("pod %s is not connected yet and keeps %s for now", assignment.pod, assignment.address)
    log.info("%d pods keep their addresses", len(restored.kept) + len(restored.unheld))
