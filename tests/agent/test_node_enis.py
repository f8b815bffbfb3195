"""The node's ENIs from EC2's words and instance metadata's."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from vpccni.agent.node_enis import Other, Whose, by_ec2, by_metadata, untagged, with_metadata
from vpccni.aws.tags import INSTANCE
from vpccni.aws.values import DescribedEni, EniAttachment
from vpccni.ipam.managed import NO_MANAGE
from vpccni.ipam.values import AttachedEni, Block, Eni, EniId, EniRole, SubnetId

WHOSE = Whose("i-1")
SUBNET, CIDR = SubnetId("subnet-1"), IPv4Network("10.0.1.0/24")
BLOCK = Block.of_address(IPv4Address("10.0.1.9"))


def described(number: int, *, card: int = 0, kind: str = "interface", tags: dict[str, str] | None = None,
              subnet: SubnetId = SUBNET, status: str = "attached") -> DescribedEni:  # fmt: skip
    at = EniAttachment(f"eni-attach-{number}", "i-1", number, card, status)
    return DescribedEni(
        EniId(f"eni-{number}"), f"02:00:00:00:00:0{number}", "in-use", subnet, IPv4Address(f"10.0.1.{100 + number}"),
        (BLOCK,), at, interface_type=kind, groups=("sg-1",), tags=tags or {},
    )  # fmt: skip


def told(number: int, *, card: int = 0) -> AttachedEni:
    return AttachedEni(
        Eni(EniId(f"eni-{number}"), f"02:00:00:00:00:0{number}", number, SUBNET, CIDR,
            IPv4Address(f"10.0.1.{100 + number}"), card, is_primary=number == 0)
    )  # fmt: skip


def test_ec2_knows_more_than_metadata() -> None:
    seen = by_ec2([described(0), described(1)], [told(0)], {}, WHOSE)
    assert [entry.eni for entry in seen.sighting.attached] == [told(0).eni, told(1).eni]
    assert all(entry.blocks == (BLOCK,) for entry in seen.sighting.attached)
    assert seen.groups[EniId("eni-1")] == ("sg-1",)


def test_an_eni_whose_subnet_nobody_knows_is_told_of() -> None:
    seen = by_ec2([described(0), described(1, subnet=SubnetId("subnet-9"))], [told(0)], {}, WHOSE)
    assert seen.sighting.unknown == ("eni-1",)
    known = {SubnetId("subnet-9"): CIDR}
    assert len(by_ec2([described(0), described(1, subnet=SubnetId("subnet-9"))], [told(0)], known, WHOSE).sighting.attached) == 2  # fmt: skip


def test_others_take_places_and_are_not_used() -> None:
    hands_off = described(1, tags={NO_MANAGE: "true"})
    seen = by_ec2(
        [described(0), hands_off, described(2, card=1), described(3, status="detaching")],
        [told(0)],
        {},
        WHOSE,
    )
    assert seen.others == (Other(EniId("eni-1"), 0, 1), Other(EniId("eni-2"), 1, 2))
    assert [o.device_index for o in seen.others_on(0)] == [1]
    assert len(seen.sighting.attached) == 1


def test_a_trunk_is_ours_to_leave_alone() -> None:
    seen = by_ec2([described(0), described(1, kind="trunk")], [told(0)], {}, WHOSE)
    assert seen.sighting.attached[1].eni.role is EniRole.TRUNK
    assert untagged(seen, {INSTANCE: "i-1"}) == {EniId("eni-0"): {INSTANCE: "i-1"}}


def test_only_what_is_missing_is_tagged() -> None:
    tagged = described(1, tags={INSTANCE: "i-1", "team": "x"})
    seen = by_ec2([described(0, tags={INSTANCE: "i-1"}), tagged], [told(0)], {}, WHOSE)
    assert untagged(seen, {INSTANCE: "i-1", "team": "x"}) == {EniId("eni-0"): {"team": "x"}}


def test_without_ec2_everything_on_our_cards_is_taken_for_ours() -> None:
    seen = by_metadata([told(0), told(1), told(2, card=1)], WHOSE)
    assert [entry.eni.id for entry in seen.sighting.attached] == ["eni-0", "eni-1"]
    assert seen.others == (Other(EniId("eni-2"), 1, 2),)
    assert untagged(seen, {INSTANCE: "i-1"}) == {}, "nobody knows their tags"


def test_at_a_start_a_device_that_is_here_is_believed_though_ec2_is_late() -> None:
    late = by_ec2([described(0)], [told(0), told(1), told(2)], {}, WHOSE)
    here = frozenset({told(0).eni.mac, told(1).eni.mac})
    both = with_metadata(late, [told(0), told(1), told(2)], here)
    assert [entry.eni.id for entry in both.sighting.attached] == ["eni-0", "eni-1"]
    assert (
        with_metadata(replace(late, others=(Other(EniId("eni-1"), 0, 1),)), [told(1)], here).sighting
        == late.sighting
    )
