"""The VPC as AWS defines it: pure and deterministic; time and randomness are given to it.

    region = Region(name, account, seed=0, delays=Delays(), limits=known_limits, now=0.0, throttle=True)
    study = dual_stack(region, study)                 # with IPv6, before any instance
    region, study = study_region(region=None)         # the study's VPC; launch_bastion(region, study), launch_node(region, study, index)

Time, in seconds since the epoch (clients compare it with their own clock on the wire):
    region.advance(now); region.next_due() -> float | None; region.now
Following it: region.drain_changes() -> tuple[Change, ...]; a Change says only that the resource is different: read it again.

Reading: vpcs, subnets, internet_gateways, groups, instances, enis are live mappings by id;
    vpc(id), subnet(id), security_group(id), instance(id), eni(id) raise ApiError (NotFound);
    enis_of(instance_id) by device index, attaching and detaching ones included; enis_in(subnet_id); primary_eni(instance_id);
    eni_with(subnet_id, address); instance_at(address); instance_named(name); internet_gateway_of(vpc_id);
    free_addresses(subnet_id); limits(instance_type); zones;
    describe.vpcs|subnets|internet_gateways|security_groups|instances|network_interfaces(Query(ids, filters, max_results, next_token)) -> Page.
    route_tables, elastic_addresses, nat_gateways, peerings, vpn_gateways, customer_gateways, vpn_connections and
    load_balancers likewise; route_table(id), route_table_of(subnet_id); routes_of(region, table) (routing.py).
Writing (ApiError with EC2's code, and then nothing has changed):
    create_vpc(cidr, tags=); associate_vpc_cidr(vpc_id, cidr); create_subnet(vpc_id, zone, cidr, public=, map_public_ip_on_launch=, tags=);
    create_internet_gateway(vpc_id="", tags=), attach_…(id, vpc_id), detach_…(id, vpc_id), delete_…(id); delete_vpc(id);
    create_route_table(vpc_id, tags=), delete_…(id); create_route|replace_route(table_id, destination, target), delete_route(table_id, destination);
    associate_route_table(table_id, subnet_id) -> association, replace_…, disassociate_…; propagate_vpn_routes(table_id, gateway_id, enable=);
    allocate_address(tags=), associate_address(allocation_id, eni_id, private_ip=), disassociate_…(association), release_…(allocation_id);
    create_nat_gateway(subnet_id, allocation_id, private_ip=, tags=), delete_…(id);
    create_peering(requester, accepter, tags=), accept_…, reject_…, delete_…(id);
    create_vpn_gateway(), attach_…(id, vpc_id), detach_…(id); create_customer_gateway(public_ip); create_vpn_connection(customer, gateway),
    create_vpn_connection_route(id, destination), delete_vpn_connection(id);
    create_load_balancer(name, subnet_ids, listeners, internet_facing=, preserve_client_ip=), set_listeners(id, listeners), delete_…(id);
    create_security_group(vpc_id, name, description, tags=); delete_security_group(id);
    authorize_ingress|authorize_egress|revoke_ingress|revoke_egress(group_id, rules);
    run_instance(type, subnet_id, groups=, name=, tags=, private_ip=, associate_public_ip=, image_id=, user_data=, metadata=) -> Instance;
    stop_instance(id), start_instance(id), reboot_instance(id), terminate_instance(id); modify_metadata_options(id, MetadataOptions(...));
    create_network_interface(subnet_id, groups=, private_ip=, wanted=Wanted(count|addresses|prefix_count|prefixes), description=, tags=);
    attach_network_interface(eni_id, instance_id, device_index, network_card=) -> Attachment;
    detach_network_interface(attachment_id, force=); delete_network_interface(eni_id);
    modify_network_interface(eni_id, description=, groups=, source_dest_check=, delete_on_termination=(attachment_id, bool));
    assign_private_ip_addresses(eni_id, Wanted(...), allow_reassignment=) -> Claimed (only what is new);
    unassign_private_ip_addresses(eni_id, addresses=, prefixes=); create_tags(ids, tags); delete_tags(ids, {key: value | None}).
Calls on the wire only: region.gate (throttle, rates, latency, faults); region.fault(action, code, message, status=, count=1, rate=).
IPv6: associate_vpc_ipv6(vpc_id), disassociate_…(vpc_id, cidr); associate_subnet_ipv6(subnet_id, cidr), disassociate_…(subnet_id);
    modify_subnet(subnet_id, ipv6_on_creation=, map_public_ip_on_launch=); assign_ipv6_addresses(eni_id, Wanted6(...)) -> Claimed6,
    unassign_…(eni_id, addresses=, prefixes=); create_egress_only_gateway(vpc_id, tags=), delete_…(id); `wanted6=` of
    create_network_interface and run_instance.
IMDS: imds_document(region, instance_id, "meta-data/mac", now, role=NODE_ROLE) -> str | None.
"""

from vpclab.region.claims import Claimed, Wanted
from vpclab.region.describe import Query
from vpclab.region.dual_stack import dual_stack
from vpclab.region.filters import Page
from vpclab.region.gate import Latency, Rate
from vpclab.region.imds import imds_document
from vpclab.region.ipv6_claims import Claimed6, Wanted6
from vpclab.region.region import Region
from vpclab.region.study import Study, launch_bastion, launch_node, study_region
from vpclab.region.values import (
    ApiError,
    Attachment,
    AttachmentStatus,
    Change,
    Delays,
    EniStatus,
    Instance,
    InstanceState,
    InternetGateway,
    NetworkInterface,
    Resource,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)

__all__ = [
    "ApiError",
    "Attachment",
    "AttachmentStatus",
    "Change",
    "Claimed",
    "Claimed6",
    "Delays",
    "EniStatus",
    "Instance",
    "InstanceState",
    "InternetGateway",
    "Latency",
    "NetworkInterface",
    "Page",
    "Query",
    "Rate",
    "Region",
    "Resource",
    "SecurityGroup",
    "SecurityGroupRule",
    "Study",
    "Subnet",
    "Vpc",
    "Wanted",
    "Wanted6",
    "dual_stack",
    "imds_document",
    "launch_bastion",
    "launch_node",
    "study_region",
]
