"""IPv6 for the study's VPC: a /56, a /64 for each subnet, a way out, and what its security groups say of IPv4 said of IPv6.

What EKS asks of a VPC for IPv6 clusters (EKS user guide, IPv6): subnets that give each new ENI an address, public ones with
`::/0` to the internet gateway, private ones with `::/0` to an egress-only one.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Network

from vpclab.region.ipv6_claims import Wanted6
from vpclab.region.region import Region
from vpclab.region.security_groups import ALL_IPV6
from vpclab.region.study import ANYWHERE, Study
from vpclab.region.values import SecurityGroupRule, Subnet

ANYWHERE6 = IPv6Network("::/0")


def dual_stack(region: Region, study: Study) -> Study:
    """Add it to a study whose machines have not booted yet, which get an address each; the study as it is then."""
    vpc = region.associate_vpc_ipv6(study.vpc.id)
    blocks = list(vpc.ipv6_cidrs[-1].subnets(new_prefix=64))
    # The number that a subnet has in IPv4 (192.168.N.0) is its number here: 2001:db8:0:1NN::/64.
    for subnet in (*study.public, *study.private):
        region.associate_subnet_ipv6(subnet.id, blocks[subnet.cidr.network_address.packed[2]])
        region.modify_subnet(subnet.id, ipv6_on_creation=True)
        for eni in region.enis_in(subnet.id):
            if eni.interface_type == "interface":
                region.assign_ipv6_addresses(eni.id, Wanted6(count=1))
    gateway = region.create_egress_only_gateway(vpc.id, tags={"Name": "egress-only"})
    outward = region.internet_gateway_of(vpc.id)
    for subnets, target in ((study.public, outward), (study.private, gateway)):
        for table in sorted({region.route_table_of(subnet.id).id for subnet in subnets}):
            there = {route.destination for route in region.route_table(table).routes}
            if target is not None and ANYWHERE6 not in there:
                region.create_route(table, ANYWHERE6, target.id)
    for group_id in (study.bastion_group, study.node_group):
        _let_in(region, group_id)

    def now(subnets: tuple[Subnet, ...]) -> tuple[Subnet, ...]:
        return tuple(region.subnet(one.id) for one in subnets)

    return replace(study, vpc=region.vpc(vpc.id), public=now(study.public), private=now(study.private))


def _let_in(region: Region, group_id: str) -> None:
    """The group's rules that let anybody of IPv4 in, for IPv6; and everything out."""
    group = region.security_group(group_id)
    twins = [
        replace(rule, id="", protocol="icmpv6" if rule.protocol == "icmp" else rule.protocol, cidr=ANYWHERE6)
        for rule in group.ingress
        if rule.cidr == ANYWHERE
    ]
    missing: list[SecurityGroupRule] = [rule for rule in twins if rule not in group.ingress]
    if missing:
        region.authorize_ingress(group_id, missing)
    if ALL_IPV6 not in group.egress:
        region.authorize_egress(group_id, (ALL_IPV6,))
