"""What IMDS tells, and which of the agent's calls EC2 would allow: each asked for with DryRun, so that nothing happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vpccni.agent.settings import Settings
from vpccni.aws.imds import Imds, ImdsError, NodeFacts, node_facts
from vpccni.aws.tags import CLUSTER, INSTANCE
from vpccni.cli.cloud.ec2 import NotAllowedError, Questions, by
from vpccni.cli.cloud.read import enis_by_ec2, enis_by_imds
from vpccni.cli.cloud.values import NodeEni
from vpccni.cli.doctor.facts import Permission
from vpccni.cli.unknown import Unknown

IMDS_TIMEOUT = 2.0
DENIED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})
DRY = "DryRunOperation"
FREE_INDEX = 7
"""Some device index: an attachment that is only asked about takes none."""


@dataclass(frozen=True, slots=True)
class CloudFacts:
    """The parts of the facts that come from AWS."""

    imds: str | None
    primary_mac: str | Unknown
    enis: tuple[NodeEni, ...] | Unknown
    enis_by_ec2: bool
    hop_limit: int | Unknown
    permissions: tuple[Permission, ...] | Unknown


def read_cloud(settings: Settings, *, imds: str | None, ec2: str | None, use_ec2: bool) -> CloudFacts:
    """Ask IMDS, and EC2 unless it is not to be asked."""
    client = Imds(imds or settings.imds_endpoint, timeout=IMDS_TIMEOUT)
    try:
        node = node_facts(client)
        enis = enis_by_imds(client)
    except ImdsError as error:
        silent = Unknown("the metadata service does not tell who the node is")
        return CloudFacts(str(error), silent, silent, enis_by_ec2=False, hop_limit=silent, permissions=silent)
    finally:
        client.close()
    not_asked = Unknown("EC2 was not asked (--no-ec2)")
    found = CloudFacts(
        None, node.primary_mac, enis, enis_by_ec2=False, hop_limit=not_asked, permissions=not_asked
    )
    if not use_ec2 or settings.imds_only:
        return found
    questions = Questions(node.region, ec2 or settings.ec2_endpoint)
    try:
        return _by_ec2(found, questions, node, settings)
    finally:
        questions.close()


def _by_ec2(found: CloudFacts, questions: Questions, node: NodeFacts, settings: Settings) -> CloudFacts:
    known = found.enis if not isinstance(found.enis, Unknown) else ()
    enis = enis_by_ec2(questions, node.instance_id, known)
    if not isinstance(enis, Unknown):
        found = replace(found, enis=enis, enis_by_ec2=True)
    return replace(
        found,
        hop_limit=_hop_limit(questions, node.instance_id),
        permissions=_permissions(questions, node, settings, known),
    )


def _hop_limit(questions: Questions, instance: str) -> int | Unknown:
    try:
        answer = questions.ask("DescribeInstances", InstanceIds=[instance])
        options = answer["Reservations"][0]["Instances"][0]["MetadataOptions"]
        return int(options["HttpPutResponseHopLimit"])
    except NotAllowedError as error:
        return Unknown(str(error))
    except (LookupError, TypeError):
        return Unknown("EC2 does not tell the instance's metadata options")


def _permissions(
    questions: Questions, node: NodeFacts, settings: Settings, enis: tuple[NodeEni, ...]
) -> tuple[Permission, ...] | Unknown:
    primary = next((eni for eni in enis if eni.is_primary), None)
    if primary is None:
        return Unknown("the primary ENI is not known")
    calls = agent_calls(node, primary, settings)
    return tuple(_asked(questions, action, said) for action, said in calls)


def agent_calls(
    node: NodeFacts, primary: NodeEni, settings: Settings
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each call that the agent makes (spec 6.9), about this node's own things, and so that it has no effect.

    Two know no DryRun: they name the subnet's own address, which EC2 never gives to anybody nor takes from anybody.
    """
    dry = {"DryRun": True}
    eni = {"NetworkInterfaceId": primary.id}
    tags = [{"Key": INSTANCE, "Value": node.instance_id}]
    if settings.cluster_name:
        tags.append({"Key": CLUSTER, "Value": settings.cluster_name})
    yield "DescribeNetworkInterfaces", {"Filters": [by("attachment.instance-id", node.instance_id)], **dry}
    yield "DescribeSubnets", {"Filters": [by("vpc-id", node.vpc_id)], **dry}
    yield "DescribeInstances", {"InstanceIds": [node.instance_id], **dry}
    yield "DescribeInstanceTypes", {"InstanceTypes": [node.instance_type], **dry}
    if not settings.provisioning:
        return
    specification = [{"ResourceType": "network-interface", "Tags": tags}]
    yield (
        "CreateNetworkInterface",
        {
            "SubnetId": primary.subnet,
            "Groups": list(node.security_groups),
            "TagSpecifications": specification,
            **dry,
        },
    )
    attachment = {"InstanceId": node.instance_id, "DeviceIndex": FREE_INDEX}
    yield "AttachNetworkInterface", {**eni, **attachment, **dry}
    yield "ModifyNetworkInterfaceAttribute", {**eni, "Groups": list(node.security_groups), **dry}
    yield "DetachNetworkInterface", {"AttachmentId": "eni-attach-00000000000000000", **dry}
    yield "DeleteNetworkInterface", {**eni, **dry}
    yield "CreateTags", {"Resources": [primary.id], "Tags": tags, **dry}
    impossible = {"PrivateIpAddresses": [str(primary.subnet_cidr.network_address)]}
    yield "AssignPrivateIpAddresses", {**eni, **impossible}
    yield "UnassignPrivateIpAddresses", {**eni, **impossible}


def _asked(questions: Questions, action: str, said: Mapping[str, Any]) -> Permission:
    try:
        questions.ask(action, **said)
    except NotAllowedError as error:
        return judge_answer(action, error, dry="DryRun" in said)
    return Permission(action, allowed=True, said="EC2 answered")


def judge_answer(action: str, error: NotAllowedError, *, dry: bool) -> Permission:
    """What EC2's refusal says about the right to make the call."""
    if error.code in DENIED:
        return Permission(action, allowed=False, said=error.message or error.code)
    if error.code == DRY:
        return Permission(action, allowed=True, said="EC2 would have done it")
    if not dry and error.code.startswith("Invalid"):  # the right is looked at before the address
        return Permission(action, allowed=True, said="EC2 refused only the address")
    return Permission(action, None, f"{error.code}: {error.message}")
