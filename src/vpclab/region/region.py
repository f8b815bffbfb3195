"""The region: who holds what, and what AWS would say. Pure: time is told by `advance`, chance is a counter's hash.

Every change is recorded; whoever follows (the fabric, IMDS, a page) drains the changes and reads the region again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.limits import InstanceLimits, known_limits
from vpclab.region.addresses import SubnetAddresses
from vpclab.region.values import (
    ApiError,
    Attachment,
    AttachmentStatus,
    Change,
    Delays,
    EniStatus,
    Instance,
    InstanceState,
    NetworkInterface,
    Resource,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Tags,
    Vpc,
)

PUBLIC_POOL = IPv4Network("203.0.113.0/24")
"""Documentation addresses (RFC 5737): the lab's internet is its own."""
ANYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class EniRequest:
    """What CreateNetworkInterface was asked for; of the four ways to ask for more than a primary only one may be used."""

    subnet_id: str
    groups: tuple[str, ...] = ()
    description: str = ""
    primary: IPv4Address | None = None
    secondary_count: int = 0
    secondary: tuple[IPv4Address, ...] = ()
    prefix_count: int = 0
    prefixes: tuple[IPv4Network, ...] = ()
    tags: Tags | None = None


class Region:
    """One account's VPCs in one region."""

    def __init__(
        self,
        name: str = "ap-northeast-2",
        account: str = "111122223333",
        *,
        seed: int = 0,
        delays: Delays | None = None,
    ) -> None:
        self.name = name
        self.account = account
        self.delays = delays or Delays()
        self.now = 0.0
        self.vpcs: dict[str, Vpc] = {}
        self.subnets: dict[str, Subnet] = {}
        self.groups: dict[str, SecurityGroup] = {}
        self.instances: dict[str, Instance] = {}
        self.enis: dict[str, NetworkInterface] = {}
        self._addresses: dict[str, SubnetAddresses] = {}
        self._by_instance: dict[str, dict[str, None]] = defaultdict(dict)
        self._public = SubnetAddresses(PUBLIC_POOL)
        self._due: dict[str, float] = {}
        self._changes: dict[Change, None] = {}
        self._seed = seed
        self._made = 0

    # --- time -----------------------------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Let everything happen that is due by `now`, seconds since the epoch."""
        self.now = max(self.now, now)
        for eni_id in [eni_id for eni_id, at in self._due.items() if at <= self.now]:
            del self._due[eni_id]
            self._finish(self.enis[eni_id])

    def next_due(self) -> float | None:
        """When the next thing happens by itself."""
        return min(self._due.values(), default=None)

    def drain_changes(self) -> tuple[Change, ...]:
        """What changed since the last call, each thing once."""
        changes = tuple(self._changes)
        self._changes.clear()
        return changes

    # --- networks -------------------------------------------------------------------------------------------

    def create_vpc(self, cidr: IPv4Network, tags: Mapping[str, str] | None = None) -> Vpc:
        """A VPC, with an internet gateway."""
        vpc = Vpc(self._id("vpc"), (cidr,), dict(tags or {}))
        self.vpcs[vpc.id] = vpc
        self._changed(Resource.VPC, vpc.id)
        return vpc

    def create_subnet(
        self,
        vpc_id: str,
        zone: str,
        cidr: IPv4Network,
        *,
        public: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> Subnet:
        """A subnet; `public` ones route to the internet gateway and give new instances a public address."""
        vpc = self._vpc(vpc_id)
        if not any(cidr.subnet_of(block) for block in vpc.cidrs) or not 16 <= cidr.prefixlen <= 28:
            raise ApiError("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")
        if any(cidr.overlaps(other.cidr) for other in self.subnets.values() if other.vpc_id == vpc_id):
            raise ApiError("InvalidSubnet.Conflict", f"The CIDR '{cidr}' conflicts with another subnet")
        subnet = Subnet(
            self._id("subnet"),
            vpc_id,
            zone,
            cidr,
            public=public,
            map_public_ip_on_launch=public,
            tags=dict(tags or {}),
        )
        self.subnets[subnet.id] = subnet
        self._addresses[subnet.id] = SubnetAddresses(cidr)
        self._changed(Resource.SUBNET, subnet.id)
        return subnet

    def available_addresses(self, subnet_id: str) -> int:
        """AvailableIpAddressCount."""
        self._subnet(subnet_id)
        return self._addresses[subnet_id].free

    def create_security_group(
        self, vpc_id: str, name: str, description: str, tags: Mapping[str, str] | None = None
    ) -> SecurityGroup:
        """A group that lets everything out and nothing in."""
        self._vpc(vpc_id)
        if any(group.name == name and group.vpc_id == vpc_id for group in self.groups.values()):
            raise ApiError(
                "InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'"
            )
        egress = (SecurityGroupRule(cidr=ANYWHERE),)
        group = SecurityGroup(self._id("sg"), name, vpc_id, description, egress=egress, tags=dict(tags or {}))
        self.groups[group.id] = group
        self._changed(Resource.SECURITY_GROUP, group.id)
        return group

    def authorize(self, group_id: str, rules: Iterable[SecurityGroupRule], *, egress: bool = False) -> None:
        """Add permissions; all or none."""
        group = self._group(group_id)
        present = group.egress if egress else group.ingress
        new = tuple(rules)
        for rule in new:
            if rule in present:
                raise ApiError(
                    "InvalidPermission.Duplicate",
                    f'the specified rule "peer: {rule.cidr or rule.group_id}, {rule.protocol.upper()}, ALLOW" already exists',
                )
            if rule.group_id is not None:
                self._group(rule.group_id)
        together = (*present, *new)
        self._put_group(replace(group, egress=together) if egress else replace(group, ingress=together))

    def revoke(self, group_id: str, rules: Iterable[SecurityGroupRule], *, egress: bool = False) -> None:
        """Take permissions away; all or none."""
        group = self._group(group_id)
        present = list(group.egress if egress else group.ingress)
        for rule in rules:
            if rule not in present:
                raise ApiError(
                    "InvalidPermission.NotFound", "The specified rule does not exist in this security group."
                )
            present.remove(rule)
        left = tuple(present)
        self._put_group(replace(group, egress=left) if egress else replace(group, ingress=left))

    # --- instances ------------------------------------------------------------------------------------------

    def run_instance(
        self,
        instance_type: str,
        subnet_id: str,
        groups: tuple[str, ...],
        *,
        private_ip: IPv4Address | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Instance:
        """Launch one; its primary ENI goes with it, and has a public address where the subnet gives one."""
        subnet = self._subnet(subnet_id)
        if known_limits(instance_type) is None:
            raise ApiError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
        eni = self.create_network_interface(EniRequest(subnet_id, groups, primary=private_ip))
        instance = Instance(
            self._id("i"), instance_type, subnet_id, subnet.vpc_id, subnet.zone, InstanceState.RUNNING, self.now,
            dict(tags or {}),
        )  # fmt: skip
        self.instances[instance.id] = instance
        public = self._public.take_lowest(1)[0] if subnet.map_public_ip_on_launch else None
        attachment = Attachment(
            self._id("eni-attach"),
            instance.id,
            0,
            0,
            AttachmentStatus.ATTACHED,
            self.now,
            delete_on_termination=True,
        )
        self._by_instance[instance.id][eni.id] = None
        self._put_eni(replace(eni, attachment=attachment, status=EniStatus.IN_USE, public_ip=public))
        self._changed(Resource.INSTANCE, instance.id)
        return instance

    def terminate_instance(self, instance_id: str) -> Instance:
        """End one; ENIs marked so go with it, others are free again."""
        instance = replace(self._instance(instance_id), state=InstanceState.TERMINATED)
        self.instances[instance_id] = instance
        for eni in self.enis_of(instance_id):
            self._due.pop(eni.id, None)
            delete = eni.attachment is not None and eni.attachment.delete_on_termination
            self._detached(eni)
            if delete:
                self.delete_network_interface(eni.id)
        self._changed(Resource.INSTANCE, instance_id)
        return instance

    def enis_of(self, instance_id: str) -> tuple[NetworkInterface, ...]:
        """The instance's ENIs by device index, those that are attaching or detaching too."""
        found = [self.enis[eni_id] for eni_id in self._by_instance.get(instance_id, ())]
        return tuple(sorted(found, key=lambda eni: eni.attachment.device_index if eni.attachment else -1))

    def limits(self, instance_id: str) -> InstanceLimits:
        """What the instance's type can hold."""
        limits = known_limits(self._instance(instance_id).type)
        if limits is None:  # run_instance refuses such types
            raise ApiError("InternalError", f"no limits are known for {instance_id}", 500)
        return limits

    # --- ENIs -----------------------------------------------------------------------------------------------

    def create_network_interface(self, request: EniRequest) -> NetworkInterface:
        """A new ENI with its addresses."""
        subnet = self._subnet(request.subnet_id)
        for group in request.groups:
            self._group(group)
        ways = [request.secondary_count, request.secondary, request.prefix_count, request.prefixes]
        if sum(1 for way in ways if way) > 1:
            raise ApiError(
                "InvalidParameterCombination", "Only one way to ask for addresses or prefixes may be used."
            )
        addresses = self._addresses[subnet.id]
        if request.primary is not None:
            self._must_be_free(subnet, request.primary)
        wanted = 1 + request.secondary_count + len(request.secondary)
        self._must_have(subnet, wanted)
        if request.prefix_count > addresses.free_prefixes:
            raise _no_prefixes()
        primary = request.primary
        if primary is None:
            primary = addresses.take_lowest(1)[0]
        else:
            addresses.take(primary)
        eni = NetworkInterface(
            id=self._id("eni"),
            mac=self._mac(),
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.id,
            zone=subnet.zone,
            primary=primary,
            groups=request.groups,
            description=request.description,
            tags=dict(request.tags or {}),
        )
        self._put_eni(eni)
        try:
            self._assign(
                eni, request.secondary_count, request.secondary, request.prefix_count, request.prefixes
            )
        except ApiError:
            self._forget(eni)
            raise
        return self.enis[eni.id]

    def attach_network_interface(
        self, eni_id: str, instance_id: str, device_index: int, network_card: int = 0
    ) -> Attachment:
        """Begin to attach; the device is there after the modelled delay."""
        eni, instance = self._eni(eni_id), self._instance(instance_id)
        if eni.attachment is not None:
            raise ApiError("InvalidNetworkInterface.InUse", f"Interface: [{eni_id}] in use.")
        if eni.zone != instance.zone:
            raise ApiError(
                "InvalidParameterValue",
                f"Instance '{instance_id}' and network interface are not in the same zone.",
            )
        mine = [other.attachment for other in self.enis_of(instance_id) if other.attachment is not None]
        if any(a.device_index == device_index and a.network_card == network_card for a in mine):
            raise ApiError(
                "InvalidParameterValue",
                f"Instance '{instance_id}' already has an interface attached at device index '{device_index}'.",
            )
        limits = self.limits(instance_id)
        card = next((c for c in limits.network_cards if c.index == network_card), None)
        if card is None:
            raise ApiError(
                "InvalidParameterValue", f"Network card index {network_card} is not on {instance.type}."
            )
        count = sum(1 for a in mine if a.network_card == network_card) + 1
        if count > card.max_enis:
            raise ApiError(
                "AttachmentLimitExceeded", f"Interface count {count} exceeds the limit for {instance.type}"
            )
        self._must_fit(limits, len(eni.secondary) + len(eni.prefixes))
        attachment = Attachment(
            self._id("eni-attach"),
            instance_id,
            device_index,
            network_card,
            AttachmentStatus.ATTACHING,
            self.now,
        )
        self._by_instance[instance_id][eni_id] = None
        attaching = replace(eni, attachment=attachment, status=EniStatus.ATTACHING)
        self._later(attaching, self.delays.attach)
        return attachment

    def detach_network_interface(self, attachment_id: str) -> Attachment:
        """Begin to detach."""
        eni = next((e for e in self.enis.values() if e.attachment and e.attachment.id == attachment_id), None)
        if eni is None or eni.attachment is None:
            raise ApiError(
                "InvalidAttachmentID.NotFound", f"The attachment '{attachment_id}' does not exist."
            )
        if eni.attachment.device_index == 0:
            raise ApiError(
                "OperationNotPermitted",
                f"The network interface at device index 0 and networkCard index {eni.attachment.network_card} "
                "cannot be detached.",
            )
        attachment = replace(eni.attachment, status=AttachmentStatus.DETACHING)
        self._later(replace(eni, attachment=attachment, status=EniStatus.DETACHING), self.delays.detach)
        return attachment

    def delete_network_interface(self, eni_id: str) -> None:
        """Delete one that is not attached."""
        eni = self._eni(eni_id)
        if eni.attachment is not None:
            raise ApiError(
                "InvalidParameterValue",
                f"Network interface '{eni_id}' is currently in use and is of type \"interface\".",
            )
        self._forget(eni)

    def assign_private_ip_addresses(
        self,
        eni_id: str,
        *,
        count: int = 0,
        addresses: tuple[IPv4Address, ...] = (),
        prefix_count: int = 0,
        prefixes: tuple[IPv4Network, ...] = (),
    ) -> tuple[tuple[IPv4Address, ...], tuple[IPv4Network, ...]]:
        """More for an ENI; just what is new."""
        if sum(1 for way in (count, addresses, prefix_count, prefixes) if way) != 1:
            raise ApiError(
                "InvalidParameterCombination", "Exactly one of counts, addresses and prefixes is to be given."
            )
        return self._assign(self._eni(eni_id), count, addresses, prefix_count, prefixes)

    def unassign_private_ip_addresses(
        self, eni_id: str, addresses: tuple[IPv4Address, ...] = (), prefixes: tuple[IPv4Network, ...] = ()
    ) -> None:
        """Take addresses or prefixes off an ENI; all or none."""
        eni = self._eni(eni_id)
        strangers = [str(a) for a in addresses if a not in eni.secondary]
        strangers += [str(p) for p in prefixes if p not in eni.prefixes]
        if strangers:
            raise ApiError(
                "InvalidParameterValue",
                f"Some of {', '.join(strangers)} are not assigned to interface {eni_id}",
            )
        pool = self._addresses[eni.subnet_id]
        for network in (*(IPv4Network(a) for a in addresses), *prefixes):
            pool.give_back(network)
        self._put_eni(
            replace(
                eni,
                secondary=tuple(a for a in eni.secondary if a not in addresses),
                prefixes=tuple(p for p in eni.prefixes if p not in prefixes),
            )
        )

    def modify_network_interface(
        self,
        eni_id: str,
        *,
        groups: tuple[str, ...] | None = None,
        source_dest_check: bool | None = None,
        description: str | None = None,
        delete_on_termination: tuple[str, bool] | None = None,
    ) -> None:
        """Change one attribute or several."""
        eni = self._eni(eni_id)
        if groups is not None:
            for group in groups:
                self._group(group)
            eni = replace(eni, groups=groups)
        if source_dest_check is not None:
            eni = replace(eni, source_dest_check=source_dest_check)
        if description is not None:
            eni = replace(eni, description=description)
        if delete_on_termination is not None:
            attachment_id, value = delete_on_termination
            if eni.attachment is None or eni.attachment.id != attachment_id:
                raise ApiError(
                    "InvalidAttachmentID.NotFound", f"The attachment '{attachment_id}' does not exist."
                )
            eni = replace(eni, attachment=replace(eni.attachment, delete_on_termination=value))
        self._put_eni(eni)

    def create_tags(self, resource_ids: Iterable[str], tags: Mapping[str, str]) -> None:
        """Tag anything; all or none."""
        ids = tuple(resource_ids)
        for resource_id in ids:
            if not any(resource_id in table for table in self._tables()):
                raise ApiError("InvalidID", f"The ID '{resource_id}' is not valid")
        for resource_id in ids:
            for table in self._tables():
                if resource_id in table:
                    table[resource_id] = replace(table[resource_id], tags={**table[resource_id].tags, **tags})

    # --- inside ---------------------------------------------------------------------------------------------

    def _tables(self) -> tuple[dict[str, Vpc | Subnet | SecurityGroup | Instance | NetworkInterface], ...]:
        return (self.vpcs, self.subnets, self.groups, self.instances, self.enis)  # type: ignore[return-value]

    def _assign(
        self,
        eni: NetworkInterface,
        count: int,
        explicit: tuple[IPv4Address, ...],
        prefix_count: int,
        explicit_prefixes: tuple[IPv4Network, ...],
    ) -> tuple[tuple[IPv4Address, ...], tuple[IPv4Network, ...]]:
        subnet, pool = self.subnets[eni.subnet_id], self._addresses[eni.subnet_id]
        slots = (
            len(eni.secondary)
            + len(eni.prefixes)
            + count
            + len(explicit)
            + prefix_count
            + len(explicit_prefixes)
        )
        if eni.attachment is not None:
            self._must_fit(self.limits(eni.attachment.instance_id), slots)
        for address in explicit:
            self._must_be_free(subnet, address)
        self._must_have(subnet, count)
        if prefix_count > pool.free_prefixes:
            raise _no_prefixes()
        for prefix in explicit_prefixes:
            if prefix.prefixlen != 28 or not all(pool.is_free(address) for address in prefix):
                raise ApiError(
                    "InvalidParameterValue", f"The prefix {prefix} is not a free /28 of {subnet.id}"
                )
        for network in (*(IPv4Network(a) for a in explicit), *explicit_prefixes):
            for address in network:
                pool.take(address)
        new = (*pool.take_lowest(count), *explicit)
        new_prefixes = (*pool.take_prefixes(prefix_count), *explicit_prefixes)
        self._put_eni(replace(eni, secondary=(*eni.secondary, *new), prefixes=(*eni.prefixes, *new_prefixes)))
        return new, new_prefixes

    def _must_have(self, subnet: Subnet, wanted: int) -> None:
        free = self._addresses[subnet.id].free
        if wanted > free:
            raise ApiError(
                "InsufficientFreeAddressesInSubnet",
                f"The specified subnet does not have enough free addresses to satisfy the request. ({subnet.id}: {free})",
            )

    def _must_be_free(self, subnet: Subnet, address: IPv4Address) -> None:
        if address not in subnet.cidr:
            raise ApiError(
                "InvalidParameterValue", f"Address {address} does not fall within the subnet's address range"
            )
        if not self._addresses[subnet.id].is_free(address):
            raise ApiError("InvalidIPAddress.InUse", f"Address {address} is in use.")

    def _must_fit(self, limits: InstanceLimits, slots: int) -> None:
        if slots > limits.slots_per_eni:
            raise ApiError("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")

    def _later(self, eni: NetworkInterface, delay: tuple[float, float]) -> None:
        self._put_eni(eni)
        low, high = delay
        wait = low + (high - low) * self._chance()
        if wait <= 0:
            self._finish(eni)
        else:
            self._due[eni.id] = self.now + wait

    def _finish(self, eni: NetworkInterface) -> None:
        if eni.status is EniStatus.ATTACHING and eni.attachment is not None:
            attached = replace(eni.attachment, status=AttachmentStatus.ATTACHED, attached_at=self.now)
            self._put_eni(replace(eni, attachment=attached, status=EniStatus.IN_USE))
        elif eni.status is EniStatus.DETACHING:
            self._detached(eni)

    def _detached(self, eni: NetworkInterface) -> None:
        if eni.attachment is not None:
            self._by_instance[eni.attachment.instance_id].pop(eni.id, None)
        if eni.public_ip is not None:
            self._public.give_back(IPv4Network(eni.public_ip))
        self._put_eni(replace(eni, attachment=None, status=EniStatus.AVAILABLE, public_ip=None))

    def _forget(self, eni: NetworkInterface) -> None:
        eni = self.enis.pop(eni.id)
        for network in eni.networks:
            self._addresses[eni.subnet_id].give_back(network)
        self._changed(Resource.ENI, eni.id)

    def _put_eni(self, eni: NetworkInterface) -> None:
        self.enis[eni.id] = eni
        self._changed(Resource.ENI, eni.id)

    def _put_group(self, group: SecurityGroup) -> None:
        self.groups[group.id] = group
        self._changed(Resource.SECURITY_GROUP, group.id)

    def _changed(self, resource: Resource, resource_id: str) -> None:
        self._changes[Change(resource, resource_id)] = None

    def _vpc(self, vpc_id: str) -> Vpc:
        if vpc_id not in self.vpcs:
            raise ApiError("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")
        return self.vpcs[vpc_id]

    def _subnet(self, subnet_id: str) -> Subnet:
        if subnet_id not in self.subnets:
            raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
        return self.subnets[subnet_id]

    def _group(self, group_id: str) -> SecurityGroup:
        if group_id not in self.groups:
            raise ApiError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        return self.groups[group_id]

    def _instance(self, instance_id: str) -> Instance:
        if instance_id not in self.instances:
            raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        return self.instances[instance_id]

    def _eni(self, eni_id: str) -> NetworkInterface:
        if eni_id not in self.enis:
            # the id stands in quotes: the original reads it from there (aws-emulation 1b.1)
            raise ApiError(
                "InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{eni_id}' does not exist"
            )
        return self.enis[eni_id]

    def _draw(self, what: str) -> str:
        self._made += 1
        return hashlib.sha256(f"{self._seed}/{what}/{self._made}".encode()).hexdigest()

    def _chance(self) -> float:
        return int(self._draw("chance")[:8], 16) / 0xFFFFFFFF

    def _id(self, kind: str) -> str:
        return f"{kind}-0{self._draw(kind)[:16]}"

    def _mac(self) -> str:
        digits = self._draw("mac")
        return ":".join(["02", *(digits[i : i + 2] for i in range(0, 10, 2))])


def _no_prefixes() -> ApiError:
    return ApiError(
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
    )
