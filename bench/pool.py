"""Time of an assign and a release, at 100 to 1,000,000 addresses, beside a pool that scans (as the original does).

    python bench/pool.py

Prints nanoseconds per pair and the ratio to the smallest pool of the same run; ours is to stay flat within 2.
"""

from __future__ import annotations

import gc
import statistics
import time
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.pool import Pool
from vpccni.ipam.values import Block, BlockKind, Eni, EniId, Pod, SandboxKey, SubnetId

SIZES = (100, 10_000, 1_000_000)
SCAN_UP_TO = 10_000
BATCHES, BATCH = 21, 40
KIND = BlockKind.PREFIX
PREFIXES_PER_ENI = 49


class ScanningPool:
    """A dictionary of addresses, searched from its start for each ADD and each DEL."""

    def __init__(self, size: int) -> None:
        self.owners: dict[IPv4Address, SandboxKey | None] = {
            IPv4Address(0x0A000000 + n): None for n in range(size)
        }

    def assign(self, key: SandboxKey) -> None:
        for address, owner in self.owners.items():
            if owner is None:
                self.owners[address] = key
                return

    def release(self, key: SandboxKey) -> None:
        for address, owner in self.owners.items():
            if owner == key:
                self.owners[address] = None
                return


def filled(size: int) -> Pool:
    """A pool of prefixes over as many ENIs as they need, no cooldown, half of it assigned."""
    pool = Pool(0.0)
    subnet = IPv4Network("10.0.0.0/8")
    for number in range(-(-size // 16)):
        index = number // PREFIXES_PER_ENI
        eni = EniId(f"eni-{index}")
        if number % PREFIXES_PER_ENI == 0:
            primary = IPv4Address("10.255.0.1")
            pool.add_eni(Eni(eni, "", index, SubnetId("s"), subnet, primary, is_primary=not index), 0.0)
        pool.add_block(eni, Block(IPv4Network((0x0A000000 + 16 * number, 28))))
    for number in range(size // 2):
        pool.assign(SandboxKey("n", f"old-{number}", "eth0"), Pod("d", f"old-{number}"), 0.0, KIND)
    return pool


def measure(pool: Pool | ScanningPool) -> float:
    """Nanoseconds of a pair, the median of batches."""
    keys = [SandboxKey("n", str(number), "eth0") for number in range(BATCH)]
    pods = [Pod("d", str(number)) for number in range(BATCH)]
    gc.collect()
    gc.freeze()  # what stands still is not looked at again by the collector: its cost would be the heap's, not the pool's
    spans = []
    now = 1.0
    for _ in range(BATCHES):
        began = time.perf_counter_ns()
        if isinstance(pool, Pool):
            for key, pod in zip(keys, pods, strict=True):
                now += 0.001
                pool.assign(key, pod, now, KIND)
            for key in keys:
                now += 0.001
                pool.release(key, now)
        else:
            for key in keys:
                pool.assign(key)
            for key in keys:
                pool.release(key)
        spans.append((time.perf_counter_ns() - began) / BATCH)
    gc.unfreeze()
    return statistics.median(spans)


def main() -> None:
    print(f"{'addresses':>10}  {'pool ns/pair':>13}  {'ratio':>6}  {'scan ns/pair':>13}  {'ratio':>7}")
    first: tuple[float, float] | None = None
    for size in SIZES:
        ours = measure(filled(size))
        scan = None
        if size <= SCAN_UP_TO:
            scanning = ScanningPool(size)
            for number in range(size // 2):
                scanning.assign(SandboxKey("n", f"old-{number}", "eth0"))
            scan = measure(scanning)
        first = first or (ours, scan or 1.0)
        scanned = f"{scan:13.0f}  {scan / first[1]:7.1f}" if scan else f"{'too slow':>13}  {'-':>7}"
        print(f"{size:>10}  {ours:13.0f}  {ours / first[0]:6.2f}  {scanned}", flush=True)


if __name__ == "__main__":
    main()
