"""Time of one assign and one release, at 100 to 1,000,000 addresses: it must not grow with them.

Prefixes over ENIs of 49 slots, half of the addresses assigned, a twentieth cooling; each step releases the pod of a
random sandbox and assigns to a new one while time goes on. The baseline, in the same run and on the same steps, finds
sandboxes and free addresses by scanning, as the original does (spec 11.1 number 3).
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.pool import Pool
from vpccni.ipam.values import Block, BlockKind, Eni, EniId, Pod, SandboxKey, SubnetId

SIZES = (100, 10_000, 1_000_000)
COOLDOWN = 30.0
SLOTS = 49
BATCHES, STEPS = 25, 2_000
SCAN_AT_MOST = 10_000
GOAL = 2.0


@dataclass(slots=True)
class Record:
    key: SandboxKey | None = None
    released_at: float = float("-inf")


class ScanningPool:
    """What the pool would cost without its indexes."""

    def __init__(self, addresses: list[IPv4Address]) -> None:
        self.records = {address: Record() for address in addresses}

    def assign(self, key: SandboxKey, now: float) -> IPv4Address | None:
        for address, record in self.records.items():
            if record.key == key:
                return address
        for address, record in self.records.items():
            if record.key is None and record.released_at + COOLDOWN <= now:
                record.key = key
                return address
        return None

    def release(self, key: SandboxKey, now: float) -> None:
        for record in self.records.values():
            if record.key == key:
                record.key, record.released_at = None, now
                return


def key_of(number: int) -> SandboxKey:
    return SandboxKey("aws-cni", f"{number:064x}", "eth0")


def blocks_for(addresses: int) -> list[Block]:
    first = int(IPv4Address("10.0.0.0"))
    size = BlockKind.PREFIX.addresses
    return [Block(IPv4Network((first + i * size, 28))) for i in range(-(-addresses // size))]


def filled_pool(blocks: list[Block]) -> Pool:
    pool = Pool(COOLDOWN)
    for index in range(-(-len(blocks) // SLOTS)):
        eni = Eni(
            EniId(f"eni-{index}"), "02:00:00:00:00:00", index, SubnetId("subnet-1"), IPv4Network("10.0.0.0/8"),
            IPv4Address("10.255.255.1"), is_primary=index == 0,
        )  # fmt: skip
        pool.add_eni(eni, 0.0)
        for block in blocks[index * SLOTS : (index + 1) * SLOTS]:
            pool.add_block(eni.id, block)
    return pool


def steps(live: list[int], count: int, draw: random.Random) -> Iterator[tuple[SandboxKey, SandboxKey]]:
    """Who goes and who comes; `live` is kept."""
    newest = max(live)
    for number in range(newest + 1, newest + 1 + count):
        place = draw.randrange(len(live))
        yield key_of(live[place]), key_of(number)
        live[place] = number


def median_ns(times: list[float]) -> float:
    return statistics.median(times) * 1e9


def measure_pool(addresses: int) -> float:
    blocks = blocks_for(addresses)
    pool, pod, now = filled_pool(blocks), Pod("default", "p"), 0.0
    total = pool.tally(BlockKind.PREFIX).total
    live = list(range(total // 2))
    for number in live:
        assert pool.assign(key_of(number), Pod("default", f"p{number}"), now, BlockKind.PREFIX)
    tick = COOLDOWN / max(1, total // 20)
    draw = random.Random(7)  # noqa: S311 -- a benchmark's draw, the same in every run
    times: list[float] = []
    gc.collect()
    gc.freeze()  # what is there is not to be walked through by the collector while we measure
    for _ in range(BATCHES):
        pairs = list(steps(live, STEPS, draw))
        begin = time.perf_counter()
        for gone, new in pairs:
            now += tick
            pool.release(gone, now)
            pool.assign(new, pod, now, BlockKind.PREFIX)
        times.append((time.perf_counter() - begin) / STEPS)
    assert pool.assigned_count == len(live)
    gc.unfreeze()
    return median_ns(times)


def measure_scan(addresses: int) -> float:
    pool = ScanningPool([a for block in blocks_for(addresses) for a in block.network])
    total, now = len(pool.records), 0.0
    live = list(range(total // 2))
    for number, record in zip(live, pool.records.values(), strict=False):
        record.key = key_of(number)
    tick = COOLDOWN / max(1, total // 20)
    draw = random.Random(7)  # noqa: S311 -- as above
    times: list[float] = []
    for _ in range(5):
        pairs = list(steps(live, 10, draw))
        begin = time.perf_counter()
        for gone, new in pairs:
            now += tick
            pool.release(gone, now)
            assert pool.assign(new, now)
        times.append((time.perf_counter() - begin) / 10)
    return median_ns(times)


def main() -> int:
    print(f"assign + release, median of {BATCHES} batches of {STEPS}; Python {sys.version.split()[0]}")
    print(f"{'addresses':>10}  {'pool':>12}  {'ratio':>6}  {'scanning':>14}  {'ratio':>8}")
    pool_base = scan_base = 0.0
    worst = 1.0
    for size in SIZES:
        ours = measure_pool(size)
        pool_base = pool_base or ours
        worst = max(worst, ours / pool_base)
        if size <= SCAN_AT_MOST:
            scan = measure_scan(size)
            scan_base = scan_base or scan
            beside = f"{scan:>11,.0f} ns  {scan / scan_base:>7.1f}x"
        else:
            beside = f"{'not run: minutes':>14}"
        print(f"{size:>10,}  {ours:>9,.0f} ns  {ours / pool_base:>5.2f}x  {beside}")
    print(f"flat within {GOAL:g}x: {'yes' if worst <= GOAL else 'NO'} ({worst:.2f}x)")
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
