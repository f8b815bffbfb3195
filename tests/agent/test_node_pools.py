"""Pools from settings and a type's limits."""

from dataclasses import replace
from pathlib import Path

import pytest

from vpccni.agent.node_enis import NodeEnis, Other
from vpccni.agent.node_pools import checkpoint_of, managed_cards, node_pools
from vpccni.agent.settings import Settings
from vpccni.ipam.cards import OTHER_CARDS
from vpccni.ipam.limits import InstanceLimits, known_limits
from vpccni.ipam.sightings import Sighting
from vpccni.ipam.values import BlockKind, EniId

PRIMARY = EniId("eni-1")


def limits(name: str) -> InstanceLimits:
    return known_limits(name) or pytest.fail(name)


def test_one_pool_for_the_default_card() -> None:
    settings = Settings()
    assert managed_cards(settings, limits("p4d.24xlarge"), None) == {0}
    pools = node_pools(settings, limits("t3.medium"), PRIMARY, frozenset({0}))
    assert list(pools) == [0]
    assert (pools[0].state.limits.max_enis, pools[0].state.limits.max_pods) == (3, 17)
    assert pools[0].state.kind is BlockKind.SECONDARY_IP
    assert pools[0].state.placement.discovery


def test_max_eni_and_custom_networking_bound_the_pool() -> None:
    settings = Settings(max_enis=2, custom_networking=True)
    [pool] = node_pools(settings, limits("t3.medium"), PRIMARY, frozenset({0})).values()
    assert pool.state.limits.max_enis == 2
    assert pool.state.limits.max_pods == 12  # (3-1)*5+2, spec 7.1
    assert not pool.state.placement.primary_for_pods
    assert not pool.state.placement.discovery, "the ENIConfig says where"


def test_prefix_mode_where_the_type_takes_prefixes(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(prefix_delegation=True)
    [nitro] = node_pools(settings, limits("t3.medium"), PRIMARY, frozenset({0})).values()
    assert (nitro.state.kind, nitro.state.limits.max_pods) == (BlockKind.PREFIX, 110)
    [large] = node_pools(settings, limits("m5.24xlarge"), PRIMARY, frozenset({0})).values()
    assert large.state.limits.max_pods == 250
    [xen] = node_pools(settings, limits("t2.medium"), PRIMARY, frozenset({0})).values()
    assert xen.state.kind is BlockKind.SECONDARY_IP
    assert "t2.medium is not a Nitro type" in caplog.text


def test_with_multi_nic_every_card_has_a_pool() -> None:
    settings = Settings(multi_nic=True, warm=replace(Settings().warm, warm_eni=2))
    big = limits("p4d.24xlarge")
    cards = managed_cards(settings, big, None)
    assert cards == {0, 1, 2, 3}
    pools = node_pools(settings, big, PRIMARY, cards)
    assert list(pools) == [0, 1, 2, 3]
    assert pools[0].state.targets.warm_eni == 2
    assert all(pools[card].state.targets == OTHER_CARDS for card in (1, 2, 3))
    assert [pools[card].state.placement.discovery for card in pools] == [True, False, False, False]


def test_a_card_with_nothing_but_an_efa_is_not_managed() -> None:
    seen = NodeEnis(Sighting(()), (Other(EniId("eni-efa"), 2, 0), Other(EniId("eni-x"), 0, 1)))
    assert managed_cards(Settings(multi_nic=True), limits("p4d.24xlarge"), seen) == {0, 1, 3}


def test_without_provisioning_nothing_is_asked_for() -> None:
    [pool] = node_pools(Settings(provisioning=False), limits("t3.medium"), PRIMARY, frozenset({0})).values()
    assert pool.plan(0.0, waiting=3) == ()


def test_a_checkpoint_for_each_card() -> None:
    path = Path("/var/run/aws-node/ipam.json")
    assert checkpoint_of(path, 0, 0) == path
    assert checkpoint_of(path, 2, 0) == Path("/var/run/aws-node/ipam-nic-2.json")


def test_a_node_that_no_api_server_tells_of_has_the_pods_that_it_was_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def most(settings: Settings) -> int:
        [pool] = node_pools(settings, limits("m5.24xlarge"), PRIMARY, frozenset({0})).values()
        return pool.state.limits.max_pods

    prefixes = Settings(prefix_delegation=True)
    assert most(prefixes) == 250
    monkeypatch.setattr("vpccni.agent.node_pools.listed_max_pods", lambda _: 737)
    assert most(prefixes) == 737
    assert most(replace(prefixes, max_pods=500)) == 500
