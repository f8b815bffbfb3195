"""`vpc-cni max-pods`: how many pods a type's addresses allow, and how that number comes about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from vpccni.cli.base import OUTPUT, anybody, main, show
from vpccni.cli.errors import CliError
from vpccni.ipam.limits import HOST_NETWORK_PODS, InstanceLimits, known_limits
from vpccni.ipam.values import BlockKind


@main.command("max-pods")
@OUTPUT
@click.option(
    "--instance-type", "types", required=True, multiple=True, help="Like m5.large; may be given again."
)
@click.option("--prefix", is_flag=True, help="With ENABLE_PREFIX_DELEGATION.")
@click.option("--custom-networking", is_flag=True, help="With AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG.")
@anybody
def max_pods(types: tuple[str, ...], output: str, *, prefix: bool, custom_networking: bool) -> None:
    """Tell what kubelet's max pods should be, host-network pods included. The agent and the lab count the same way."""
    found = [derive(_limits(name), prefix=prefix, custom_networking=custom_networking) for name in types]
    show(found if len(found) > 1 else found[0], output, lambda _: "\n".join(map(in_words, found)))


def derive(limits: InstanceLimits, *, prefix: bool, custom_networking: bool) -> dict[str, Any]:
    """The number and what it is made of."""
    kind = BlockKind.PREFIX if prefix and limits.supports_prefixes else BlockKind.SECONDARY_IP
    enis = limits.max_enis - (1 if custom_networking else 0)
    by_addresses = enis * limits.slots_per_eni * kind.addresses + HOST_NETWORK_PODS
    pods = limits.max_pods(kind, custom_networking=custom_networking)
    return {
        "instanceType": limits.type,
        "maxPods": pods,
        "enis": limits.max_enis,
        "enisForPods": enis,
        "placesPerEni": limits.slots_per_eni,
        "addressesPerPlace": kind.addresses,
        "hostNetworkPods": HOST_NETWORK_PODS,
        "byAddresses": by_addresses,
        "vcpus": limits.vcpus,
        "takesPrefixes": limits.supports_prefixes,
        "prefix": prefix,
        "customNetworking": custom_networking,
    }


def in_words(found: Mapping[str, Any]) -> str:
    """A line for the number, and one for what it is made of."""
    places = f"{found['enisForPods']} ENIs x {found['placesPerEni']} places"
    if found["addressesPerPlace"] > 1:
        places += f" x {found['addressesPerPlace']} addresses"
    because = f"{places} + {found['hostNetworkPods']} pods of the host's network = {found['byAddresses']}"
    if found["maxPods"] < found["byAddresses"]:
        because += f"; EKS recommends no more than {found['maxPods']} with {found['vcpus']} vCPUs"
    if found["customNetworking"]:
        because += f"; of {found['enis']} ENIs the primary gives pods none with custom networking"
    if found["prefix"] and not found["takesPrefixes"]:
        because += "; this type takes no prefixes, so pods get single addresses"
    return f"{found['instanceType']}: {found['maxPods']}\n  {because}"


def _limits(name: str) -> InstanceLimits:
    limits = known_limits(name)
    if limits is None:
        raise CliError(
            f"the instance type {name!r} is not in the list that comes with this version; "
            "aws ec2 describe-instance-types tells its ENIs and the IPv4 addresses of each"
        )
    return limits
