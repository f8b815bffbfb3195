import pytest

from vpccni.ipam.managed import INSTANCE, NO_MANAGE, Keeper, Sight, keeper, role
from vpccni.ipam.values import EniRole

US, OTHERS = Keeper.US, Keeper.OTHERS


@pytest.mark.parametrize(
    ("tags", "untagged", "expected"),
    [
        ({NO_MANAGE: "true"}, True, OTHERS),
        ({NO_MANAGE: "true", INSTANCE: "i-1"}, True, OTHERS),
        ({NO_MANAGE: "false"}, False, US),
        ({NO_MANAGE: ""}, False, US),
        ({INSTANCE: "i-1"}, False, US),
        ({INSTANCE: "i-2"}, False, OTHERS),
        ({}, True, US),
        ({}, False, OTHERS),
    ],
)
def test_tags_tell_whose_a_secondary_eni_is(
    tags: dict[str, str], *, untagged: bool, expected: Keeper
) -> None:
    assert keeper(Sight(primary=False, card=0, interface_type="interface", tags=tags), instance="i-1", untagged_are_ours=untagged) is expected  # fmt: skip


def test_the_primary_is_always_ours() -> None:
    assert keeper(Sight(primary=True, card=0, interface_type="interface", tags={NO_MANAGE: "true"}), instance="i-1") is US  # fmt: skip


def test_what_is_on_a_card_that_is_not_managed_is_not_ours() -> None:
    there = Sight(primary=False, card=2, interface_type="interface", tags={})
    assert keeper(there, instance="i-1") is OTHERS
    assert keeper(there, instance="i-1", cards=frozenset({0, 2})) is US
    assert keeper(Sight(primary=False, card=0, interface_type="efa-only", tags={}), instance="i-1") is OTHERS


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("interface", EniRole.PLAIN), ("trunk", EniRole.TRUNK), ("efa", EniRole.EFA), ("branch", EniRole.PLAIN)],
)
def test_roles(kind: str, expected: EniRole) -> None:
    assert role(kind) is expected
