from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.ipam.model_ec2 import key, pod
from vpccni.ipam.pool import (
    AddressHeldError,
    DuplicateEniError,
    InUseError,
    NotAssignableError,
    Pool,
    UnknownBlockError,
    UnknownEniError,
)
from vpccni.ipam.values import Assignment, Block, BlockKind, Cooling, Eni, EniId, SubnetId

SIP, PD = BlockKind.SECONDARY_IP, BlockKind.PREFIX
ONE, TWO = EniId("eni-1"), EniId("eni-2")


def eni(number: int, *, primary: bool = False) -> Eni:
    name, address = EniId(f"eni-{number}"), IPv4Address(f"10.0.{number}.250")
    return Eni(
        name, f"02::{number}", 0 if primary else number, SubnetId("subnet-1"), IPv4Network("10.0.0.0/16"), address,
        is_primary=primary,
    )  # fmt: skip


def block(text: str) -> Block:
    return Block(IPv4Network(text))


def ip(text: str) -> IPv4Address:
    return IPv4Address(text)


def make(*blocks: str, enis: int = 1, cooldown: float = 30.0) -> Pool:
    """`blocks` go to ENI 1."""
    pool = Pool(cooldown)
    for number in range(1, enis + 1):
        pool.add_eni(eni(number), 0.0)
    for text in blocks:
        pool.add_block(ONE, block(text))
    return pool


def give(pool: Pool, number: int, now: float = 0.0, kind: BlockKind = SIP) -> str:
    got = pool.assign(key(number), pod(number), now, kind)
    assert got is not None
    return str(got.address)


# --- spec 9.2 -------------------------------------------------------------------------------------------------


def test_enis_come_once_and_go_when_nobody_uses_them() -> None:
    pool = make(enis=3)
    with pytest.raises(DuplicateEniError, match="eni-1"):
        pool.add_eni(eni(1), 0.0)
    pool.remove_eni(EniId("eni-3"))
    with pytest.raises(UnknownEniError, match="eni-3"):
        pool.remove_eni(EniId("eni-3"))
    pool.add_block(ONE, block("10.0.1.1/32"))
    give(pool, 1)
    with pytest.raises(InUseError):
        pool.remove_eni(ONE)
    assert [a.key for a in pool.remove_eni(ONE, force=True)] == [key(1)]
    assert pool.find(key(1)) is None
    assert (pool.total[SIP], pool.assigned[SIP], pool.assigned_count) == (0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "texts", "inside"),
    [
        (SIP, ["1.1.1.1/32", "1.1.1.2/32", "1.1.2.1/32"], "1.1.1.1/32"),
        (PD, ["10.0.0.0/28", "10.0.0.16/28", "10.0.2.0/28"], "10.0.0.15/32"),
    ],
)
def test_blocks_are_counted(kind: BlockKind, texts: list[str], inside: str) -> None:
    pool = make(enis=2)
    for number, text in enumerate(texts, 1):
        pool.add_block(ONE if number < 3 else TWO, block(text))
        assert pool.total[kind] == number * kind.addresses
    with pytest.raises(AddressHeldError, match="eni-1"):
        pool.add_block(TWO, block(inside))
    with pytest.raises(UnknownEniError):
        pool.add_block(EniId("eni-9"), block("10.9.0.0/28"))
    with pytest.raises(UnknownBlockError):
        pool.remove_block(TWO, block(texts[0]))
    assert pool.total[kind] == 3 * kind.addresses
    first = give(pool, 1, kind=kind)
    assert first == str(block(texts[0]).network[0])
    with pytest.raises(InUseError, match="1 assigned and 0 cooling"):
        pool.remove_block(ONE, block(texts[0]))
    assert [str(a.address) for a in pool.remove_block(ONE, block(texts[0]), force=True)] == [first]
    assert pool.total[kind] == 2 * kind.addresses
    assert pool.blocks_of(ONE) == (block(texts[1]),)


def test_a_prefix_does_not_cover_an_address_that_is_held() -> None:
    pool = make("10.0.0.7/32", enis=2)
    with pytest.raises(AddressHeldError, match=r"10\.0\.0\.0/28 is in eni-1 already: it has 10\.0\.0\.7/32"):
        pool.add_block(TWO, block("10.0.0.0/28"))
    assert pool.blocks_of(TWO) == ()


def test_the_same_sandbox_gets_the_same_address() -> None:
    pool = make("1.1.1.1/32", "1.1.1.2/32")
    first = pool.assign(key(1), pod(1), 0.0, SIP)
    assert pool.assign(key(1), pod(1), 5.0, SIP) == first
    assert pool.assigned[SIP] == 1
    give(pool, 2)
    assert pool.assign(key(3), pod(3), 0.0, SIP) is None
    assert pool.release(key(3), 0.0) is None


def test_statistics_follow_the_cooldown() -> None:
    pool = make("1.1.1.1/32", "1.1.1.2/32", cooldown=1.0)
    give(pool, 1)
    give(pool, 2)
    tally = pool.tally(SIP)
    assert (tally.total, tally.assigned, tally.cooling) == (2, 2, 0)
    pool.release(key(1), 10.0)
    assert (tally.total, tally.assigned, tally.cooling, tally.free) == (2, 1, 1, 0)
    assert pool.next_free_at() == 11.0
    pool.advance(10.999)
    assert tally.cooling == 1
    pool.advance(11.0)
    assert (tally.total, tally.assigned, tally.cooling, tally.free) == (2, 1, 0, 1)


def test_modes_toggle_and_only_the_active_one_gives() -> None:
    pool = make("1.1.1.1/32")
    pool.add_block(ONE, block("10.0.0.0/28"))
    assert sum(pool.total.values()) == 17
    assert give(pool, 1, kind=PD) == "10.0.0.0"
    assert give(pool, 2, kind=SIP) == "1.1.1.1"
    assert pool.assign(key(3), pod(3), 0.0, SIP) is None
    assert give(pool, 4, kind=PD) == "10.0.0.1"


# --- which address ---------------------------------------------------------------------------------------------


def test_the_primary_is_filled_first_then_the_fullest() -> None:
    pool = Pool(30.0)
    for number, primary in ((2, False), (1, True), (3, False)):
        pool.add_eni(eni(number, primary=primary), 0.0)
        for last in (1, 2, 3):
            pool.add_block(EniId(f"eni-{number}"), block(f"10.0.{number}.{last}/32"))
    assert [give(pool, n) for n in range(5)] == ["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.2.1", "10.0.2.2"]
    assert give(pool, 5) == "10.0.2.3"
    assert give(pool, 6) == "10.0.3.1"
    for number in (0, 1):
        pool.release(key(number), 0.0)
    # eni-1 has one pod, as eni-3 has; eni-2 is full
    assert give(pool, 7, now=40.0) == "10.0.1.1"


def test_an_unusable_eni_gives_nothing_and_does_not_count() -> None:
    pool = Pool(30.0)
    pool.add_eni(eni(1), 0.0, usable=False)
    pool.add_block(ONE, block("10.0.1.1/32"))
    assert pool.assign(key(1), pod(1), 0.0, SIP) is None
    assert pool.total[SIP] == 0
    assert pool.eni(ONE).total == 1


def test_the_fullest_prefix_gives_and_new_addresses_come_before_old_ones() -> None:
    pool = make("10.0.0.16/28", "10.0.0.0/28")
    assert [give(pool, n, kind=PD) for n in range(3)] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    for number in (1, 0, 2):
        pool.release(key(number), 1.0)
    later = [give(pool, 10 + n, now=100.0, kind=PD) for n in range(16)]
    assert later[:13] == [f"10.0.0.{n}" for n in range(3, 16)]
    assert later[13:] == ["10.0.0.1", "10.0.0.0", "10.0.0.2"], "the one released longest ago first"
    assert give(pool, 30, now=100.0, kind=PD) == "10.0.0.16"


def test_a_prefix_that_was_the_fullest_is_not_for_ever() -> None:
    pool = make("10.0.0.0/28", "10.0.0.16/28")
    for number in range(3):
        give(pool, number, kind=PD)
    for number in (3, 4):
        pool.restore(Assignment(key(number), pod(number), ip(f"10.0.0.{27 + number}"), ONE, 0.0))
    assert give(pool, 5, kind=PD) == "10.0.0.3"
    for number in (0, 1, 5):
        pool.release(key(number), 0.0)
    assert give(pool, 6, kind=PD) == "10.0.0.16"


def test_single_addresses_too_are_given_new_before_old() -> None:
    pool = make("10.0.0.9/32", "10.0.0.3/32")
    assert give(pool, 1) == "10.0.0.3"
    pool.release(key(1), 0.0)
    pool.add_block(ONE, block("10.0.0.12/32"))
    assert [give(pool, n, now=31.0) for n in (2, 3, 4)] == ["10.0.0.9", "10.0.0.12", "10.0.0.3"]


def test_an_undone_assignment_does_not_cool() -> None:
    pool = make("10.0.0.3/32")
    give(pool, 1)
    pool.undo(key(1))
    pool.undo(key(1))
    assert pool.find(key(1)) is None
    assert give(pool, 2) == "10.0.0.3"


# --- cooling ----------------------------------------------------------------------------------------------------


def test_what_cools_is_not_given_nor_taken_out() -> None:
    pool = make("10.0.0.3/32")
    give(pool, 1)
    pool.release(key(1), 100.0)
    assert pool.assign(key(2), pod(2), 129.9, SIP) is None
    with pytest.raises(InUseError, match="0 assigned and 1 cooling"):
        pool.remove_block(ONE, block("10.0.0.3/32"))
    with pytest.raises(InUseError):
        pool.set_leaving(ONE, block("10.0.0.3/32"), leaving=True)
    with pytest.raises(InUseError):
        pool.remove_eni(ONE)
    assert give(pool, 2, now=130.0) == "10.0.0.3"


def test_a_cooldown_outlives_the_block_it_was_on() -> None:
    pool = make("10.0.0.0/28", enis=2)
    give(pool, 1, kind=PD)
    give(pool, 2, kind=PD)
    pool.release(key(1), 100.0)
    pool.remove_eni(ONE, force=True)
    assert [str(c.address) for c in pool.cooling()] == ["10.0.0.0"]
    pool.add_block(TWO, block("10.0.0.0/28"))
    assert (pool.tally(PD).cooling, pool.tally(PD).free, pool.tally(PD).empty_blocks) == (1, 15, 0)
    assert give(pool, 3, now=101.0, kind=PD) == "10.0.0.1", "its pod is gone with the block"
    pool.release(key(3), 101.0)
    pool.advance(130.0)
    assert pool.tally(PD).cooling == 1


def test_cooldowns_from_before_a_restart_go_on_in_any_order() -> None:
    pool = make("10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32")
    give(pool, 1)
    assert str(pool.assignments().__next__().address) == "10.0.0.1"
    for text, until in (("10.0.0.3", 120.0), ("10.0.0.2", 110.0), ("10.0.0.1", 115.0), ("10.9.9.9", 105.0)):
        pool.cool(Cooling(ip(text), until), 100.0)
    assert [(str(c.address), c.until) for c in pool.cooling()] == [
        ("10.9.9.9", 105.0), ("10.0.0.2", 110.0), ("10.0.0.3", 120.0),
    ]  # fmt: skip
    assert pool.next_free_at(SIP) == 110.0
    assert pool.next_free_at() == 105.0
    pool.advance(110.0)
    assert pool.tally(SIP).free == 1


@pytest.mark.parametrize(("until", "seen"), [(99.0, []), (100.0, []), (1e9, [130.0])])
def test_a_cooldown_that_a_clock_has_spoilt_is_cut(until: float, seen: list[float]) -> None:
    pool = make("10.0.0.1/32")
    pool.cool(Cooling(ip("10.0.0.1"), until), 100.0)
    assert [c.until for c in pool.cooling()] == seen


def test_a_release_in_the_very_moment_in_which_its_neighbour_has_cooled() -> None:
    pool = make("10.0.0.0/28")
    give(pool, 1, kind=PD)
    give(pool, 2, kind=PD)
    pool.release(key(1), 0.0)
    pool.release(key(2), 30.0)
    assert (pool.tally(PD).cooling, pool.tally(PD).empty_blocks) == (1, 0)
    pool.advance(60.0)
    assert (pool.tally(PD).cooling, pool.tally(PD).empty_blocks) == (0, 1)


# --- leaving, restoring -----------------------------------------------------------------------------------------


def test_what_is_on_its_way_back_is_not_given() -> None:
    pool = make("10.0.0.1/32", "10.0.0.2/32")
    pool.set_leaving(ONE, block("10.0.0.1/32"), leaving=True)
    pool.set_leaving(ONE, block("10.0.0.1/32"), leaving=True)
    assert (pool.total[SIP], pool.tally(SIP).blocks, pool.eni(ONE).blocks) == (1, 1, 2)
    assert pool.empty_blocks_of(ONE, SIP) == (block("10.0.0.2/32"),)
    assert give(pool, 1) == "10.0.0.2"
    assert pool.assign(key(2), pod(2), 0.0, SIP) is None
    pool.set_leaving(ONE, block("10.0.0.1/32"), leaving=False)
    assert give(pool, 2) == "10.0.0.1"


def test_restoring_gives_the_very_address_once() -> None:
    pool = make("10.0.0.0/28")
    old = Assignment(key(1), pod(1), ip("10.0.0.5"), EniId("eni-of-old"), 7.0)
    assert pool.restore(old) == Assignment(key(1), pod(1), ip("10.0.0.5"), ONE, 7.0)
    with pytest.raises(NotAssignableError, match=r"c1/eth0 has 10\.0\.0\.5 already"):
        pool.restore(old)
    with pytest.raises(NotAssignableError, match="c1/eth0 has it"):
        pool.restore(Assignment(key(2), pod(2), ip("10.0.0.5"), ONE, 7.0))
    with pytest.raises(NotAssignableError, match="on no ENI"):
        pool.restore(Assignment(key(2), pod(2), ip("10.9.9.9"), ONE, 7.0))
    given = [give(pool, 10 + n, kind=PD) for n in range(15)]
    assert "10.0.0.5" not in given
    assert pool.owner(ip("10.0.0.5")) == key(1)


def test_all_of_a_pods_sandboxes_are_found() -> None:
    pool = make("10.0.0.0/28")
    for number in (1, 2):
        pool.assign(key(number), pod(7), 0.0, PD)
    assert [a.key for a in pool.of_pod(pod(7))] == [key(1), key(2)]
    pool.release(key(1), 0.0)
    assert [a.key for a in pool.of_pod(pod(7))] == [key(2)]
    pool.release(key(2), 0.0)
    assert pool.of_pod(pod(7)) == ()
    assert pool._pods == {}


def test_heaps_do_not_grow_with_the_pods_that_came_and_went() -> None:
    pool = make("10.0.0.0/28", "10.0.0.16/28", enis=2, cooldown=0.0)
    for number in range(3000):
        give(pool, number, now=float(number), kind=PD)
        if number >= 5:
            pool.release(key(number - 5), float(number))
    sizes = [len(heap) for holder in pool._holders.values() for heap in holder._heaps[PD].values()]
    assert max(sizes) <= 2 * 2 + 16 + 1
    assert len(pool._fullest[PD]) <= 2 * 2 + 64 + 1
