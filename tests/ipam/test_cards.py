"""The pools of several network cards as one."""

from dataclasses import replace

from tests.ipam.builders import eni, ip, key, pod
from vpccni.ipam.actions import AttachEni, FindSubnets, FoundSubnets
from vpccni.ipam.cards import OTHER_CARDS, Cards, assign_on
from vpccni.ipam.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint, snapshot
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.restore import restore
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni, BlockKind, Interface, SubnetId

LIMITS = NodeLimits(max_enis=2, slots_per_eni=4, max_pods=100)
SECOND = replace(eni(1), network_card=1)


def cards() -> Cards:
    first, other = Ipam(LIMITS, WarmTargets()), Ipam(LIMITS, OTHER_CARDS, card=1)
    first.add_attached(AttachedEni(eni(0), (ip("10.0.1.1"),)), 0.0)
    other.add_attached(AttachedEni(SECOND, (ip("10.0.2.1"),)), 0.0)
    return Cards([other, first])


def test_the_default_card_is_first_and_one_card_is_enough_for_most_pods() -> None:
    both = cards()
    assert [pool.state.card for pool in both.pools] == [0, 1]
    assert both.interfaces(every_card=False) == ((Interface(), both.pools),)
    assert [i for i, _ in both.interfaces(every_card=True)] == [Interface(0, 2), Interface(1, 2)]
    assert Cards([both.default]).interfaces(every_card=True) == ((Interface(), (both.default,)),)


def test_each_card_keeps_its_own_warm() -> None:
    both = cards()
    for number in range(2):
        answer = assign_on(both.pools, key(str(number)), pod(str(number)), 0.0, Interface())
        assert isinstance(answer, Assignment)
    asked = {pool.state.card: pool.plan(0.0) for pool in both.pools}
    assert asked[0]
    assert all(action.count == 1 for action in asked[1] if not isinstance(action, FindSubnets))  # type: ignore[union-attr]
    assert isinstance(assign_on(both.pools, key("x"), pod("x"), 0.0, Interface()), Refusal)


def test_an_eni_is_attached_to_the_card_that_needs_it() -> None:
    other = Ipam(LIMITS, OTHER_CARDS, card=3)
    (action,) = other.plan(0.0)
    assert action == AttachEni(0, 1, BlockKind.SECONDARY_IP, network_card=3)
    assert Cards([Ipam(LIMITS, WarmTargets()), other]).of_action(action) is other


def test_what_is_said_of_subnets_is_said_to_every_card() -> None:
    both = cards()
    both.default.state.placement.discovery = True
    assert FindSubnets() in both.default.plan(0.0)
    both.apply(FoundSubnets(FindSubnets(), (), frozenset({SubnetId("subnet-1")})), 0.0)
    assert not any(view.usable for pool in both.pools for view in pool.pool.enis())


def test_which_interface_an_address_is_for_survives_a_restart() -> None:
    both = cards()
    for interface, pools in both.interfaces(every_card=True):
        assign_on(pools, key("a"), pod("a"), 1.0, interface)
    for position, pool in enumerate(both.pools):
        written = decode_checkpoint(encode_checkpoint(snapshot(pool.pool.assignments(), ())))
        (there,) = written.allocations
        assert there.interface == Interface(position, 2)
        by_the_original = Checkpoint((replace(there, interface=Interface(0, 2)),))
        again = Ipam(LIMITS, WarmTargets())
        restored = restore(
            again, [AttachedEni(view.eni, pool.blocks(view.eni.id)) for view in pool.pool.enis()],
            by_the_original, lambda _: True, 2.0, position=position,
        )  # fmt: skip
        assert [a.interface for a in restored.kept] == [Interface(position, 2)]
