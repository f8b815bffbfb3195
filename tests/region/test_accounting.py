"""Whatever is asked for in whatever order: AWS's counts hold, no address twice, a refused call changes nothing."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vpclab.region import ApiError, AttachmentStatus, Delays, EniStatus, InstanceState, Region, Wanted

CIDRS = tuple(map(IPv4Network, ("10.0.0.0/28", "10.0.1.0/26", "10.0.2.0/27")))
TYPES = ("t3.small", "t3.medium", "t2.medium")  # t2: not Nitro, so no prefixes
places = st.integers(0, 1000)
explicit = st.sampled_from([address for cidr in CIDRS for address in cidr])
blocks = st.sampled_from([block for cidr in CIDRS for block in cidr.subnets(new_prefix=28)])
wanteds = st.one_of(
    st.builds(Wanted, count=st.integers(0, 6)),
    st.builds(Wanted, addresses=st.lists(explicit, max_size=3).map(tuple)),
    st.builds(Wanted, prefix_count=st.integers(0, 2)),
    st.builds(Wanted, prefixes=st.lists(blocks, max_size=2).map(tuple)),
    st.builds(Wanted, count=st.integers(0, 1), prefix_count=st.integers(0, 1)),
)


class Accounting(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.region = Region(delays=Delays(attach=(1, 3), detach=(1, 2)))
        vpc = self.region.create_vpc(IPv4Network("10.0.0.0/16")).id
        zone = self.region.zones[0]
        self.subnets = [self.region.create_subnet(vpc, zone, cidr).id for cidr in CIDRS]

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

    def an_eni(self, place: int) -> str:
        enis = list(self.region.enis)
        return enis[place % len(enis)] if enis else "eni-none"

    def an_instance(self, place: int) -> str:
        instances = list(self.region.instances)
        return instances[place % len(instances)] if instances else "i-none"

    @rule(subnet=st.sampled_from(range(3)), type_=st.sampled_from(TYPES), public=st.booleans())
    def run(self, subnet: int, type_: str, *, public: bool) -> None:
        self.attempt("run_instance", type_, self.subnets[subnet], associate_public_ip=public)

    @rule(place=places)
    def terminate(self, place: int) -> None:
        self.attempt("terminate_instance", self.an_instance(place))

    @rule(subnet=st.sampled_from(range(3)), wanted=wanteds, primary=st.none() | explicit)
    def create(self, subnet: int, wanted: Wanted, primary: IPv4Address | None) -> None:
        self.attempt("create_network_interface", self.subnets[subnet], wanted=wanted, private_ip=primary)

    @rule(eni=places, instance=places, index=st.integers(0, 4))
    def attach(self, eni: int, instance: int, index: int) -> None:
        self.attempt("attach_network_interface", self.an_eni(eni), self.an_instance(instance), index)

    @rule(place=places, force=st.booleans())
    def detach(self, place: int, *, force: bool) -> None:
        eni = self.region.enis.get(self.an_eni(place))
        attachment = (
            eni.attachment.id if eni is not None and eni.attachment is not None else "eni-attach-none"
        )
        self.attempt("detach_network_interface", attachment, force=force)

    @rule(place=places)
    def delete(self, place: int) -> None:
        self.attempt("delete_network_interface", self.an_eni(place))

    @rule(place=places, wanted=wanteds, move=st.booleans())
    def assign(self, place: int, wanted: Wanted, *, move: bool) -> None:
        eni = self.an_eni(place)
        before = self.region.enis.get(eni)
        picture = self.picture()
        try:
            claimed = self.region.assign_private_ip_addresses(eni, wanted, allow_reassignment=move)
        except ApiError:
            assert self.picture() == picture
            return
        assert before is not None
        after = self.region.eni(eni)
        assert set(claimed.addresses) == set(after.secondary) - set(before.secondary)
        assert set(claimed.prefixes) == set(after.prefixes) - set(before.prefixes)
        assert len(claimed.addresses) + len(claimed.prefixes) == wanted.slots

    @rule(place=places, take=st.integers(1, 3))
    def unassign(self, place: int, take: int) -> None:
        eni = self.region.enis.get(self.an_eni(place))
        if eni is not None:
            self.attempt(
                "unassign_private_ip_addresses",
                eni.id,
                addresses=eni.secondary[:take],
                prefixes=eni.prefixes[-1:],
            )

    @rule(place=places, delete=st.booleans())
    def delete_on_termination(self, place: int, *, delete: bool) -> None:
        eni = self.region.enis.get(self.an_eni(place))
        if eni is not None and eni.attachment is not None:
            self.attempt(
                "modify_network_interface", eni.id, delete_on_termination=(eni.attachment.id, delete)
            )

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
        assert sum(len(self.region.enis_in(s)) for s in self.subnets) == len(self.region.enis)


TestAccounting = Accounting.TestCase
TestAccounting.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
