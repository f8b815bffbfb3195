"""What is in the region, and the indexes over it. One place writes: whatever changes is noted for the followers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from vpclab.region.addresses import PREFIX_LENGTH, AddressSpace
from vpclab.region.draws import Draws
from vpclab.region.errors import not_found
from vpclab.region.ipv6_space import PREFIX_LENGTH as PREFIX6_LENGTH
from vpclab.region.ipv6_space import Ipv6Space
from vpclab.region.metadata_view import Lag, MetadataView
from vpclab.region.propagation import Propagation
from vpclab.region.routing import EgressOnlyGateway, ElasticAddress, NatGateway, Peering, RouteTable
from vpclab.region.schedule import Schedule
from vpclab.region.values import (
    Change,
    Delays,
    Instance,
    InternetGateway,
    NetworkInterface,
    Resource,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Tags,
    Vpc,
    single_network,
)

PUBLIC_POOL = IPv4Network("203.0.113.0/24")
"""Public addresses that the region gives out; RFC 5737 keeps them off the real internet."""
PUBLIC_POOL_HEAD = 10
"""The first ten are the lab's own: routers and the like."""

Taggable = (
    Vpc
    | Subnet
    | InternetGateway
    | SecurityGroup
    | SecurityGroupRule
    | Instance
    | NetworkInterface
    | RouteTable
    | ElasticAddress
    | NatGateway
    | Peering
    | EgressOnlyGateway
)


class Tables:
    """The region's state. Values are replaced, never changed."""

    def __init__(self, name: str, account: str, draws: Draws, delays: Delays, now: float) -> None:
        self.name = name
        self.account = account
        self.draws = draws
        self.delays = delays
        self.now = now
        self.schedule = Schedule()
        self.metadata = MetadataView()
        self.propagation = Propagation()
        self.public_pool = AddressSpace(PUBLIC_POOL, head=PUBLIC_POOL_HEAD)
        self.vpcs: dict[str, Vpc] = {}
        self.subnets: dict[str, Subnet] = {}
        self.gateways: dict[str, InternetGateway] = {}
        self.groups: dict[str, SecurityGroup] = {}
        self.instances: dict[str, Instance] = {}
        self.enis: dict[str, NetworkInterface] = {}
        self.spaces: dict[str, AddressSpace] = {}
        self.ipv6_spaces: dict[str, Ipv6Space] = {}
        """Of subnets with an IPv6 block."""
        self.enis_by_instance: dict[str, dict[str, None]] = {}
        self.enis_by_subnet: dict[str, dict[str, None]] = {}
        self.enis_by_attachment: dict[str, str] = {}
        self.unattached: dict[str, None] = {}
        """ENIs that are on no instance: few among many, and each node of a cluster looks for them once an hour."""
        self.enis_by_mac: dict[str, str] = {}
        self.enis_by_public_ip: dict[IPv4Address, str] = {}
        self.groups_by_rule: dict[str, str] = {}
        self.elastic: dict[str, ElasticAddress] = {}
        self.holders: dict[tuple[str, IPv4Network | IPv6Network], str] = {}
        """By subnet and network: the ENI that an address or prefix is on."""
        self.further: dict[Resource, dict[str, Any]] = {Resource.ELASTIC_IP: self.elastic}
        """What others keep (networking.py), each with an id and tags."""
        self.ordinals: dict[str, int] = {}
        """Creation order, which pages of a listing go by."""
        self.changes: dict[Change, None] = {}
        self._made = 0
        self._rules_made = 0
        self.ipv6_blocks_given = 0
        """To VPCs, ever: none gets what another had."""

    def new_id(self, prefix: str) -> str:
        """A fresh id, with its place in the creation order."""
        identifier = self.draws.identifier(prefix)
        self._made += 1
        self.ordinals[identifier] = self._made
        return identifier

    def new_mac(self) -> str:
        """A MAC that no ENI has."""
        mac = self.draws.mac()
        while mac in self.enis_by_mac:
            mac = self.draws.mac()
        return mac

    def delay(self, between: tuple[float, float]) -> float:
        """A drawn delay, in seconds."""
        return self.draws.uniform(*between)

    def after(self, seconds: float, step: str, *arguments: Any) -> None:
        """Have a step of the schedule happen in so many seconds; at once with none."""
        self.schedule.after(self.now, seconds, step, *arguments)

    def note(self, resource: Resource, identifier: str) -> None:
        """Tell the followers that this is different now."""
        self.changes[Change(resource, identifier)] = None

    def put_vpc(self, vpc: Vpc) -> Vpc:
        """Add or replace."""
        self.vpcs[vpc.id] = vpc
        self.note(Resource.VPC, vpc.id)
        return vpc

    def put_subnet(self, subnet: Subnet) -> Subnet:
        """Add or replace; a new one gets its accounting."""
        self.subnets[subnet.id] = subnet
        if subnet.id not in self.spaces:
            self.spaces[subnet.id] = AddressSpace(subnet.cidr)
            self.enis_by_subnet[subnet.id] = {}
        if subnet.ipv6_cidr is None:
            self.ipv6_spaces.pop(subnet.id, None)
        elif subnet.id not in self.ipv6_spaces:
            self.ipv6_spaces[subnet.id] = Ipv6Space(subnet.ipv6_cidr)
        self.note(Resource.SUBNET, subnet.id)
        return subnet

    def drop_subnet(self, identifier: str) -> None:
        """Remove an empty one."""
        del self.subnets[identifier], self.spaces[identifier], self.enis_by_subnet[identifier]
        self.ipv6_spaces.pop(identifier, None)
        self._forget(identifier)
        self.note(Resource.SUBNET, identifier)

    def put_gateway(self, gateway: InternetGateway) -> InternetGateway:
        """Add or replace."""
        self.gateways[gateway.id] = gateway
        self.note(Resource.INTERNET_GATEWAY, gateway.id)
        return gateway

    def drop_vpc(self, identifier: str) -> None:
        """Remove an empty one."""
        del self.vpcs[identifier]
        self._forget(identifier)
        self.note(Resource.VPC, identifier)

    def drop_gateway(self, identifier: str) -> None:
        """Remove a detached one."""
        del self.gateways[identifier]
        self._forget(identifier)
        self.note(Resource.INTERNET_GATEWAY, identifier)

    def put_group(self, group: SecurityGroup) -> SecurityGroup:
        """Add or replace; a rule that is new gets its id."""
        group = replace(
            group,
            ingress=self._with_ids(group.id, group.ingress),
            egress=self._with_ids(group.id, group.egress),
        )
        before = self.groups.get(group.id)
        for rule in () if before is None else (*before.ingress, *before.egress):
            del self.groups_by_rule[rule.id]
        for rule in (*group.ingress, *group.egress):
            self.groups_by_rule[rule.id] = group.id
        self.groups[group.id] = group
        self.note(Resource.SECURITY_GROUP, group.id)
        return group

    def drop_group(self, identifier: str) -> None:
        """Remove."""
        group = self.groups.pop(identifier)
        for rule in (*group.ingress, *group.egress):
            del self.groups_by_rule[rule.id]
        self._forget(identifier)
        self.note(Resource.SECURITY_GROUP, identifier)

    def put_instance(self, instance: Instance) -> Instance:
        """Add or replace."""
        self.instances[instance.id] = instance
        self.enis_by_instance.setdefault(instance.id, {})
        self.note(Resource.INSTANCE, instance.id)
        return instance

    def drop_instance(self, identifier: str) -> None:
        """Remove one that has no ENIs any more."""
        del self.instances[identifier]
        del self.enis_by_instance[identifier]
        self.metadata.forget(identifier)
        self._forget(identifier)
        self.note(Resource.INSTANCE, identifier)

    def put_eni(self, eni: NetworkInterface) -> NetworkInterface:
        """Add or replace, indexes and IMDS's view included. The subnet's accounting is the caller's."""
        before = self.enis.get(eni.id)
        self.enis[eni.id] = eni
        if before is not None and before.secondary != eni.secondary:
            self._part_elastic(eni.id, set(before.secondary) - set(eni.secondary))
        self._index(before, eni)
        return eni

    def drop_eni(self, eni: NetworkInterface) -> None:
        """Remove, giving its addresses back."""
        self.spaces[eni.subnet_id].release(eni.networks)
        if eni.subnet_id in self.ipv6_spaces:
            self.ipv6_spaces[eni.subnet_id].release(eni.ipv6_networks)
        self.release_public_ip(eni)
        del self.enis[eni.id]
        self._index(eni, None)
        self._forget(eni.id)

    def release_public_ip(self, eni: NetworkInterface) -> None:
        """Give its public addresses, if it has any, back: Elastic IP addresses stay the account's."""
        self.release_auto_assigned(eni)
        self._part_elastic(eni.id, {eni.primary, *eni.secondary})

    def release_auto_assigned(self, eni: NetworkInterface) -> None:
        """Give the public address that came with its instance back to the pool."""
        if eni.public_ip is not None and all(one.public_ip != eni.public_ip for one in self.elastic.values()):
            self.public_pool.release((IPv4Network(eni.public_ip),))

    def taggable(self, identifier: str) -> Taggable:
        """Whatever has this id. Raises the id's NotFound."""
        for table in (self.enis, self.instances, self.subnets, self.vpcs, self.groups, self.gateways):
            if identifier in table:
                found: Taggable = table[identifier]
                return found
        for further in self.further.values():
            if identifier in further:
                of_others: Taggable = further[identifier]
                return of_others
        rule = self.rule(identifier)
        if rule is not None:
            return rule
        raise not_found(identifier)

    def put_tags(self, identifier: str, tags: Tags) -> None:
        """Replace all tags of whatever has this id. Raises the id's NotFound."""
        match self.taggable(identifier):
            case NetworkInterface() as eni:
                self.put_eni(replace(eni, tags=tags))
            case Instance() as instance:
                self.put_instance(replace(instance, tags=tags))
            case Subnet() as subnet:
                self.put_subnet(replace(subnet, tags=tags))
            case Vpc() as vpc:
                self.put_vpc(replace(vpc, tags=tags))
            case SecurityGroupRule() as rule:
                tagged, group = replace(rule, tags=tags), self.groups[self.groups_by_rule[identifier]]
                self.put_group(
                    replace(
                        group,
                        ingress=tuple(tagged if one.id == rule.id else one for one in group.ingress),
                        egress=tuple(tagged if one.id == rule.id else one for one in group.egress),
                    )
                )
            case SecurityGroup() as group:
                self.put_group(replace(group, tags=tags))
            case InternetGateway() as gateway:
                self.put_gateway(replace(gateway, tags=tags))
            case other:
                for kind, further in self.further.items():
                    if identifier in further:
                        further[identifier] = replace(other, tags=tags)
                        self.note(kind, identifier)

    def rule(self, identifier: str) -> SecurityGroupRule | None:
        """A security group's rule."""
        group = self.groups.get(self.groups_by_rule.get(identifier, ""))
        of_group = () if group is None else (*group.ingress, *group.egress)
        return next((rule for rule in of_group if rule.id == identifier), None)

    def holder(self, subnet_id: str, address: IPv4Address | IPv6Address) -> NetworkInterface | None:
        """The ENI that an address is on, by itself or within a prefix."""
        single, length = (
            (single_network(address), PREFIX_LENGTH)
            if isinstance(address, IPv4Address)
            else (IPv6Network(address), PREFIX6_LENGTH)
        )
        found = self.holders.get((subnet_id, single))
        if found is None:
            found = self.holders.get((subnet_id, single.supernet(new_prefix=length)))
        return None if found is None else self.enis[found]

    def _part_elastic(self, eni_id: str, addresses: set[IPv4Address]) -> None:
        """An Elastic IP address does not stay with a private one that its ENI loses."""
        for one in tuple(self.elastic.values()):
            if one.eni_id == eni_id and one.private_ip in addresses:
                self.elastic[one.id] = replace(one, association="", eni_id="", private_ip=None)
                self.note(Resource.ELASTIC_IP, one.id)

    def _with_ids(self, group_id: str, rules: tuple[SecurityGroupRule, ...]) -> tuple[SecurityGroupRule, ...]:
        return tuple(rule if rule.id else replace(rule, id=self._rule_id(group_id)) for rule in rules)

    def _rule_id(self, group_id: str) -> str:
        """Not drawn: what a seed gives stays as it was before rules had ids."""
        self._rules_made += 1
        return f"sgr-0{hashlib.sha256(f'{group_id}/{self._rules_made}'.encode()).hexdigest()[:16]}"

    def _forget(self, identifier: str) -> None:
        self.ordinals.pop(identifier, None)

    def _index(self, before: NetworkInterface | None, after: NetworkInterface | None) -> None:
        """Bring the indexes up to date by the difference: what stays keeps its place in their order."""
        if before is not None:
            self._unlist(before, after)
        if after is not None:
            self._list(after)
        either = after or before
        if either is not None:
            lag = Lag(self.now, self.delay(self.delays.imds), self.delay(self.delays.imds_mac_linger))
            self.metadata.note(before, after, lag)
            if before is None:
                self.propagation.created(either.id, self.now, self.delay(self.delays.unknown))
            self.propagation.changed(
                either.id, before, self.now, self.delay(self.delays.stale), self.ordinals[either.id]
            )
            self.note(Resource.ENI, either.id)

    def _list(self, eni: NetworkInterface) -> None:
        self.enis_by_subnet[eni.subnet_id][eni.id] = None
        self.enis_by_mac[eni.mac] = eni.id
        self.holders.update(((eni.subnet_id, network), eni.id) for network in _all_networks(eni))
        if eni.attachment is not None:
            self.enis_by_instance[eni.attachment.instance_id][eni.id] = None
            self.enis_by_attachment[eni.attachment.id] = eni.id
            self.unattached.pop(eni.id, None)
        else:
            self.unattached[eni.id] = None
        if eni.public_ip is not None:
            self.enis_by_public_ip[eni.public_ip] = eni.id

    def _unlist(self, eni: NetworkInterface, after: NetworkInterface | None) -> None:
        if after is None:
            del self.enis_by_subnet[eni.subnet_id][eni.id]
            del self.enis_by_mac[eni.mac]
            self.unattached.pop(eni.id, None)
        kept = set() if after is None else set(_all_networks(after))
        for network in _all_networks(eni):
            if network not in kept:
                del self.holders[eni.subnet_id, network]
        attachment = None if after is None else after.attachment
        if eni.attachment is not None and (attachment is None or attachment.id != eni.attachment.id):
            del self.enis_by_instance[eni.attachment.instance_id][eni.id]
            del self.enis_by_attachment[eni.attachment.id]
        if eni.public_ip is not None and (after is None or after.public_ip != eni.public_ip):
            del self.enis_by_public_ip[eni.public_ip]


def _all_networks(eni: NetworkInterface) -> tuple[IPv4Network | IPv6Network, ...]:
    return (*eni.networks, *eni.ipv6_networks)
