from ipaddress import IPv4Address

import pytest

from tests.ipam.builders import eni, ip, key, pod, prefix
from vpccni.ipam.pool import Pool, PoolError
from vpccni.ipam.values import BlockKind, Cooling

IP, PREFIX = BlockKind.SECONDARY_IP, BlockKind.PREFIX


def filled(*held: tuple[int, list[str]], cooldown: float = 30.0) -> Pool:
    pool = Pool(cooldown)
    for number, addresses in held:
        pool.add_eni(eni(number), 0.0)
        for address in addresses:
            pool.add_block(eni(number).id, ip(address))
    return pool


def give(pool: Pool, name: str, now: float = 0.0, kind: BlockKind = IP) -> str | None:
    assignment = pool.assign(key(name), pod(name), now, kind)
    return str(assignment.address) if assignment else None


def test_an_add_repeated_gets_the_same_address() -> None:
    pool = filled((0, ["10.0.0.5", "10.0.0.6"]))
    assert give(pool, "a") == give(pool, "a") == "10.0.0.5"
    assert pool.assigned[IP] == 1
    assert pool.owner(IPv4Address("10.0.0.5")) == key("a")


def test_the_fullest_eni_is_filled_first_so_that_the_others_empty() -> None:
    pool = filled((0, ["10.0.0.1", "10.0.0.2"]), (1, ["10.0.1.1", "10.0.1.2"]), (2, ["10.0.2.1", "10.0.2.2"]))
    assert [give(pool, n) for n in "abcde"] == ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2", "10.0.2.1"]
    for name in "abc":
        pool.release(key(name), 1.0)
    # eni-1 and eni-2 have one pod each, eni-0 none: the emptiest is not touched
    assert give(pool, "f", 100.0) == "10.0.1.1"
    assert give(pool, "g", 100.0) == "10.0.2.2"
    assert give(pool, "h", 100.0) == "10.0.0.1"


def test_the_fullest_prefix_is_filled_first() -> None:
    pool = Pool(30.0)
    pool.add_eni(eni(0), 0.0)
    pool.add_block(eni(0).id, prefix("10.0.0.0"))
    pool.add_block(eni(0).id, prefix("10.0.0.16"))
    assert [give(pool, str(n), kind=PREFIX) for n in range(17)] == [f"10.0.0.{n}" for n in range(17)]
    assert pool.empty_blocks[PREFIX] == 0
    for name in range(1, 16):
        pool.release(key(str(name)), 1.0)
    # one pod each now, the first prefix comes first; its longest released address comes last
    assert give(pool, "x", 2.0, PREFIX) == "10.0.0.17"


def test_an_address_cools_before_it_is_given_again_and_the_longest_released_comes_first() -> None:
    pool = filled((0, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]))
    for name in "abc":
        give(pool, name)
    pool.release(key("b"), 10.0)
    pool.release(key("a"), 11.0)
    assert give(pool, "d", 39.9) is None
    assert (pool.free[IP], pool.cooling_count, pool.next_free_at) == (0, 2, 40.0)
    assert give(pool, "d", 41.5) == "10.0.0.2"
    assert give(pool, "e", 41.5) == "10.0.0.1"


def test_undo_gives_the_address_back_at_once_without_cooling() -> None:
    pool = filled((0, ["10.0.0.1", "10.0.0.2"]))
    give(pool, "a")
    pool.undo(key("a"))
    assert pool.cooling_count == 0
    assert {give(pool, "b"), give(pool, "c")} == {"10.0.0.1", "10.0.0.2"}
    pool.undo(key("nobody"))


def test_what_is_in_use_or_cools_cannot_be_removed() -> None:
    pool = filled((0, ["10.0.0.1"]), (1, ["10.0.1.1"]))
    give(pool, "a")
    with pytest.raises(PoolError, match="1 assigned and 0 cooling"):
        pool.remove_block(eni(0).id, ip("10.0.0.1"))
    pool.release(key("a"), 0.0)
    with pytest.raises(PoolError, match="0 assigned and 1 cooling"):
        pool.remove_eni(eni(0).id)
    pool.advance(31.0)
    pool.remove_eni(eni(0).id)
    assert (pool.total[IP], pool.free[IP], pool.blocks[IP]) == (1, 1, 1)
    assert give(pool, "b", 31.0) == "10.0.1.1"


def test_what_is_on_its_way_back_is_given_to_nobody() -> None:
    pool = filled((0, ["10.0.0.1", "10.0.0.2"]))
    pool.set_leaving(eni(0).id, ip("10.0.0.1"), leaving=True)
    assert (pool.total[IP], pool.free[IP]) == (1, 1)
    assert give(pool, "a") == "10.0.0.2"
    assert give(pool, "b") is None
    with pytest.raises(PoolError, match="in use"):
        pool.set_leaving(eni(0).id, ip("10.0.0.2"), leaving=True)
    pool.set_leaving(eni(0).id, ip("10.0.0.1"), leaving=False)
    assert give(pool, "b") == "10.0.0.1"


def test_only_the_active_kind_gives_addresses() -> None:
    pool = filled((0, ["10.0.0.1"]))
    pool.add_block(eni(0).id, prefix("10.0.1.0"))
    assert give(pool, "a", kind=PREFIX) == "10.0.1.0"
    assert give(pool, "b", kind=IP) == "10.0.0.1"
    assert give(pool, "c", kind=IP) is None


def test_the_impossible_is_refused_and_changes_nothing() -> None:
    pool = filled((0, ["10.0.0.1"]))
    with pytest.raises(PoolError, match="already"):
        pool.add_eni(eni(0), 0.0)
    with pytest.raises(PoolError, match=r"10\.0\.0\.1 of"):
        pool.add_block(eni(0).id, ip("10.0.0.1"))
    with pytest.raises(PoolError, match="not in the pool"):
        pool.add_block(eni(7).id, ip("10.0.0.9"))
    with pytest.raises(PoolError, match="does not hold"):
        pool.remove_block(eni(0).id, ip("10.0.0.9"))
    assert pool.release(key("nobody"), 0.0) is None
    assert (pool.total[IP], pool.free[IP]) == (1, 1)


def test_a_cooldown_of_before_a_restart_goes_on_but_not_for_longer_than_ours() -> None:
    pool = filled((0, ["10.0.0.1", "10.0.0.2"]))
    pool.cool(Cooling(IPv4Address("10.0.0.1"), 5.0), 0.0)
    pool.cool(Cooling(IPv4Address("10.0.0.2"), 9_999.0), 0.0)
    assert [c.until for c in pool.cooling()] == [5.0, 30.0]
    pool.cool(Cooling(IPv4Address("10.9.9.9"), 5.0), 0.0)  # held by nobody here
    assert give(pool, "a", 4.0) is None
    assert give(pool, "a", 5.0) == "10.0.0.1"
