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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.pool import Pool
from vpccni.ipam.values import Block, BlockKind, Eni, EniId, Pod, SandboxKey, SubnetId

SIZES = (100, 10_000, 1_000_000)
COOLDOWN = 30.0
SLOTS = 49
BATCHES, STEPS = 40, 1_000
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


def pod_of(number: int) -> Pod:
    return Pod("default", f"deployment-7c5ddbdf54-{number:x}")


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


def steps(live: list[int], count: int, draw: random.Random) -> Iterator[tuple[SandboxKey, SandboxKey, Pod]]:
    """Who goes and who comes; `live` is kept."""
    newest = max(live)
    for number in range(newest + 1, newest + 1 + count):
        place = draw.randrange(len(live))
        yield key_of(live[place]), key_of(number), pod_of(number)
        live[place] = number


class Churn:
    """A pool of one size under way: half assigned, a twentieth cooling."""

    def __init__(self, addresses: int) -> None:
        blocks = blocks_for(addresses)
        self.pool, self.now = filled_pool(blocks), 0.0
        self.total = len(blocks) * BlockKind.PREFIX.addresses
        self.live = list(range(self.total // 2))
        for number in self.live:
            assert self.pool.assign(key_of(number), pod_of(number), self.now, BlockKind.PREFIX)
        self.tick = COOLDOWN / max(1, self.total // 20)
        self.draw = random.Random(7)  # noqa: S311 -- a benchmark's draw, the same in every run

    def batch(self, count: int) -> float:
        """Seconds for one assign and one release."""
        pairs = list(steps(self.live, count, self.draw))
        pool, now, tick = self.pool, self.now, self.tick
        begin = time.perf_counter()
        for gone, new, pod in pairs:
            now += tick
            pool.release(gone, now)
            pool.assign(new, pod, now, BlockKind.PREFIX)
        took = time.perf_counter() - begin
        self.now = now
        assert pool.assigned_count == len(self.live)
        return took / count


class ScanningChurn:
    """The same for the baseline, without the cooling addresses that it would have to step over."""

    def __init__(self, addresses: int) -> None:
        self.pool = ScanningPool(
            [
                address
                for block in blocks_for(addresses)
                for address in block.network
                if isinstance(address, IPv4Address)
            ]
        )
        self.now = 0.0
        self.live = list(range(len(self.pool.records) // 2))
        for number, record in zip(self.live, self.pool.records.values(), strict=False):
            record.key = key_of(number)
        self.draw = random.Random(7)  # noqa: S311 -- as above

    def batch(self, count: int) -> float:
        pairs = list(steps(self.live, count, self.draw))
        begin = time.perf_counter()
        for gone, new, _ in pairs:
            self.now += COOLDOWN
            self.pool.release(gone, self.now)
            assert self.pool.assign(new, self.now)
        return (time.perf_counter() - begin) / count


def measure(churns: Sequence[Churn | ScanningChurn], batches: int, count: int) -> list[tuple[float, float]]:
    """For each size: the median in ns, and the median of its ratios to the smallest size.

    The sizes take turns, so that whatever else the machine does falls on all of them.
    """
    rounds = [[churn.batch(count) for churn in churns] for _ in range(batches)]
    return [
        (
            statistics.median(times[i] for times in rounds) * 1e9,
            statistics.median(times[i] / times[0] for times in rounds),
        )
        for i in range(len(churns))
    ]


def main() -> int:
    churns = [Churn(size) for size in SIZES]
    scanned = [ScanningChurn(size) for size in SIZES if size <= SCAN_AT_MOST]
    gc.collect()
    gc.freeze()  # what is there is not to be walked through by the collector while we measure
    ours, scan = measure(churns, BATCHES, STEPS), measure(scanned, 9, 10)
    print(f"assign + release, median of {BATCHES} batches of {STEPS}; Python {sys.version.split()[0]}")
    print(f"{'addresses':>10}  {'pool':>10}  {'ratio':>6}  {'scanning':>14}  {'ratio':>7}")
    for i, churn in enumerate(churns):
        beside = (
            f"{scan[i][0]:>11,.0f} ns  {scan[i][1]:>6.0f}x" if i < len(scan) else f"{'not run: minutes':>16}"
        )
        print(f"{churn.total:>10,}  {ours[i][0]:>7,.0f} ns  {ours[i][1]:>5.2f}x  {beside}")
    worst = max(ratio for _, ratio in ours)
    print(f"flat within {GOAL:g}x: {'yes' if worst <= GOAL else 'NO'} ({worst:.2f}x)")
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
