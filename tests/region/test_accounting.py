"""Whatever is asked for in whatever order: AWS's counts hold, no address twice, a refused call changes nothing."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vpclab.region import (
    ApiError,
    AttachmentStatus,
    Delays,
    EniStatus,
    InstanceState,
    NetworkInterface,
    Region,
    Wanted,
)
from vpclab.region.reservations import ReservationType

CIDRS = tuple(map(IPv4Network, ("10.0.0.0/28", "10.0.1.0/26", "10.0.2.0/27")))
TYPES = (
    "t3.nano",
    "t3.small",
    "t2.micro",
)  # small limits are met soon; t2 is not Nitro and takes no prefixes
places = st.integers(0, 6)
counts = st.integers(1, 4)
offsets = st.integers(0, 63)
requests = st.one_of(
    st.tuples(st.just("count"), st.lists(counts, min_size=1, max_size=1)),
    st.tuples(st.just("prefix_count"), st.lists(st.integers(1, 2), min_size=1, max_size=1)),
    st.tuples(st.just("addresses"), st.lists(offsets, min_size=1, max_size=3)),
    st.tuples(st.just("prefixes"), st.lists(offsets, min_size=1, max_size=2)),
)
Request = tuple[str, list[int]]


def wanted(request: Request, cidr: IPv4Network) -> Wanted:
    """The request in terms of a subnet; offsets may lie outside of it."""
    how, numbers = request
    start = cidr.network_address
    if how == "count":
        return Wanted(count=numbers[0])
    if how == "prefix_count":
        return Wanted(prefix_count=numbers[0])
    if how == "addresses":
        return Wanted(addresses=tuple(start + n for n in numbers))
    return Wanted(prefixes=tuple(IPv4Network((int(start) + n // 16 * 16, 28)) for n in numbers))


class Accounting(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.region = Region(delays=Delays(attach=(1, 3), detach=(1, 2)))
        vpc = self.region.create_vpc(IPv4Network("10.0.0.0/16")).id
        zone = self.region.zones[0]
        self.subnets = [self.region.create_subnet(vpc, zone, cidr).id for cidr in CIDRS]

    @initialize()
    def populate(self) -> None:
        for number, type_ in enumerate(TYPES):
            self.region.run_instance(type_, self.subnets[number])
            self.region.create_network_interface(self.subnets[number], wanted=Wanted(count=number))

    def picture(self) -> tuple[Any, ...]:
        region = self.region
        return (
            dict(region.enis),
            dict(region.instances),
            [region.free_addresses(s) for s in self.subnets],
            region.next_due(),
        )

    def attempt(self, name: str, *args: Any, **options: Any) -> None:
        before = self.picture()
        try:
            getattr(self.region, name)(*args, **options)
        except ApiError:
            assert self.picture() == before

    def an_eni(self, place: int) -> NetworkInterface:
        enis = list(self.region.enis.values())
        return enis[place % len(enis)]

    def an_instance(self, place: int) -> str:
        instances = list(self.region.instances)
        return instances[place % len(instances)]

    def few_instances(self) -> bool:
        return len(self.region.instances) < 4

    def any_instances(self) -> bool:
        return bool(self.region.instances)

    def any_enis(self) -> bool:
        return bool(self.region.enis)

    @precondition(few_instances)
    @rule(subnet=st.sampled_from(range(3)), type_=st.sampled_from(TYPES), public=st.booleans())
    def run(self, subnet: int, type_: str, *, public: bool) -> None:
        self.attempt("run_instance", type_, self.subnets[subnet], associate_public_ip=public)

    @precondition(any_instances)
    @rule(place=places)
    def terminate(self, place: int) -> None:
        self.attempt("terminate_instance", self.an_instance(place))

    @rule(subnet=st.sampled_from(range(3)), request=requests, primary=st.none() | offsets)
    def create(self, subnet: int, request: Request, primary: int | None) -> None:
        address = None if primary is None else CIDRS[subnet].network_address + primary
        asked = wanted(request, CIDRS[subnet])
        self.attempt("create_network_interface", self.subnets[subnet], wanted=asked, private_ip=address)

    @precondition(any_instances)
    @precondition(any_enis)
    @rule(eni=places, instance=places, index=st.integers(0, 3))
    def attach(self, eni: int, instance: int, index: int) -> None:
        self.attempt("attach_network_interface", self.an_eni(eni).id, self.an_instance(instance), index)

    @precondition(any_enis)
    @rule(place=places, force=st.booleans())
    def detach(self, place: int, *, force: bool) -> None:
        attachment = self.an_eni(place).attachment
        identifier = "eni-attach-none" if attachment is None else attachment.id
        self.attempt("detach_network_interface", identifier, force=force)

    @precondition(any_enis)
    @rule(place=places)
    def delete(self, place: int) -> None:
        self.attempt("delete_network_interface", self.an_eni(place).id)

    @precondition(any_enis)
    @rule(place=places, request=requests, move=st.booleans())
    def assign(self, place: int, request: Request, *, move: bool) -> None:
        before = self.an_eni(place)
        asked = wanted(request, self.region.subnet(before.subnet_id).cidr)
        picture = self.picture()
        try:
            claimed = self.region.assign_private_ip_addresses(before.id, asked, allow_reassignment=move)
        except ApiError:
            assert self.picture() == picture
            return
        after = self.region.eni(before.id)
        assert set(claimed.addresses) == set(after.secondary) - set(before.secondary)
        assert set(claimed.prefixes) == set(after.prefixes) - set(before.prefixes)
        assert len(claimed.addresses) + len(claimed.prefixes) == asked.slots

    @precondition(any_enis)
    @rule(place=places, take=st.integers(1, 3))
    def unassign(self, place: int, take: int) -> None:
        eni = self.an_eni(place)
        self.attempt(
            "unassign_private_ip_addresses",
            eni.id,
            addresses=eni.secondary[:take],
            prefixes=eni.prefixes[-1:],
        )

    @precondition(any_enis)
    @rule(place=places, delete=st.booleans())
    def delete_on_termination(self, place: int, *, delete: bool) -> None:
        eni = self.an_eni(place)
        if eni.attachment is not None:
            self.attempt(
                "modify_network_interface", eni.id, delete_on_termination=(eni.attachment.id, delete)
            )

    @rule(subnet=st.sampled_from(range(3)), start=offsets, kind=st.sampled_from(ReservationType))
    def reserve(self, subnet: int, start: int, kind: ReservationType) -> None:
        block = IPv4Network((int(CIDRS[subnet].network_address) + start // 16 * 16, 28))
        self.attempt("create_subnet_cidr_reservation", self.subnets[subnet], block, kind)

    @rule(subnet=st.sampled_from(range(3)))
    def give_a_reservation_up(self, subnet: int) -> None:
        for reservation in self.region.subnet_cidr_reservations(self.subnets[subnet])[:1]:
            self.region.delete_subnet_cidr_reservation(reservation.id)

    @precondition(any_instances)
    @rule(place=places, name=st.sampled_from(("stop_instance", "start_instance", "reboot_instance")))
    def change_state(self, place: int, name: str) -> None:
        self.attempt(name, self.an_instance(place))

    @rule(seconds=st.floats(0, 4))
    def wait(self, seconds: float) -> None:
        self.region.advance(self.region.now + seconds)

    @rule()
    def wait_for_all(self) -> None:
        while (due := self.region.next_due()) is not None:
            assert due > self.region.now
            self.region.advance(due)
        assert {eni.status for eni in self.region.enis.values()} <= {EniStatus.AVAILABLE, EniStatus.IN_USE}
        assert all(i.state is not InstanceState.TERMINATED for i in self.region.instances.values())

    @invariant()
    def counts_are_awss(self) -> None:
        for subnet_id, cidr in zip(self.subnets, CIDRS, strict=True):
            held = [network for eni in self.region.enis_in(subnet_id) for network in eni.networks]
            assert self.region.free_addresses(subnet_id) == cidr.num_addresses - 5 - sum(
                n.num_addresses for n in held
            )
            assert all(network.subnet_of(cidr) for network in held)
            prefixes = [prefix for eni in self.region.enis_in(subnet_id) for prefix in eni.prefixes]
            assert all(p.prefixlen == 28 and int(p.network_address) % 16 == 0 for p in prefixes)
            assert not {cidr[0], cidr[1], cidr[2], cidr[3], cidr[-1]} & {a for n in held for a in n}

    @invariant()
    def no_address_is_held_twice(self) -> None:
        held = sorted(network for eni in self.region.enis.values() for network in eni.networks)
        assert all(one.broadcast_address < other.network_address for one, other in pairwise(held))
        public = [eni.public_ip for eni in self.region.enis.values() if eni.public_ip is not None]
        assert len(set(public)) == len(public)

    @invariant()
    def types_are_not_overfilled(self) -> None:
        for instance in self.region.instances.values():
            enis, limits = self.region.enis_of(instance.id), self.region.limits(instance.type)
            assert len(enis) <= limits.max_enis
            indexes = Counter(eni.attachment.device_index for eni in enis if eni.attachment)
            assert all(count == 1 for count in indexes.values())
            assert all(1 + len(e.secondary) + len(e.prefixes) <= limits.ipv4_per_eni for e in enis)
            assert limits.supports_prefixes or not any(e.prefixes for e in enis)
            assert bool(enis) == (instance.state is not InstanceState.TERMINATED)

    @invariant()
    def imds_without_lag_is_ec2(self) -> None:
        for instance in self.region.instances.values():
            attached = {
                eni
                for eni in self.region.enis_of(instance.id)
                if eni.attachment is not None and eni.attachment.status is AttachmentStatus.ATTACHED
            }
            now = self.region.now
            assert set(self.region.metadata_enis(instance.id, now)) == attached
            assert set(self.region.metadata_macs(instance.id, now)) == {eni.mac for eni in attached}

    @invariant()
    def every_index_agrees(self) -> None:
        for eni in self.region.enis.values():
            for network in eni.networks:
                assert self.region.eni_with(eni.subnet_id, network[-1]) is eni
        enis, tables = self.region.enis.values(), self.region._tables
        assert sum(len(self.region.enis_in(s)) for s in self.subnets) == len(enis)
        assert len(tables.holders) == sum(len(eni.networks) for eni in enis)
        assert set(tables.enis_by_attachment) == {eni.attachment.id for eni in enis if eni.attachment}
        assert set(tables.enis_by_public_ip) == {eni.public_ip for eni in enis if eni.public_ip}
        assert set(tables.enis_by_mac) == {eni.mac for eni in enis}


TestAccounting = Accounting.TestCase
TestAccounting.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, report_multiple_bugs=False
)
