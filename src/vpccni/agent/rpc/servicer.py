"""The original's calls, answered by the agent (spec 3.3). The caller wires its pods itself: here nothing is wired."""

from __future__ import annotations

import logging
from typing import Any, TypeVar

from google.protobuf.empty_pb2 import Empty
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from vpccni.agent.branch_pods import Trunked
from vpccni.agent.cni_call import IDENTIFIER, INTERFACE_BAD, CniCall, CniError
from vpccni.agent.ports import HostError
from vpccni.agent.rpc.backend import AnnotationError
from vpccni.agent.rpc.behind import Behind, NotStartedError, Served
from vpccni.agent.rpc.rpc_grpc import CNIBackendBase, ConfigServerBackendBase
from vpccni.agent.rpc.rpc_pb2 import (
    AddNetworkReply,
    AddNetworkRequest,
    DelNetworkReply,
    DelNetworkRequest,
    IPAllocationMetadata,
    NetworkPolicyAgentConfigReply,
)
from vpccni.ipam.values import MAIN_TABLE, Assignment, Eni, Pod

log = logging.getLogger(__name__)
Request = TypeVar("Request")

UNKNOWN_POD = "datastore: unknown pod"
"""The plugin looks for these words in an error and then takes the DEL as done (spec 4.8)."""
DELETED, FAILED = "PodDeleted", "SetupNSFailed"
NO_DEVICE = -1
"""In the place of a device number, for an address behind the trunk ENI (spec 3.3)."""
VERSION = "1.0.0"
"""Of the CNI specification; the wire does not say which one the plugin speaks, and nothing here depends on it."""


class CniBackend(CNIBackendBase):
    """AddNetwork assigns, DelNetwork releases."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def AddNetwork(self, stream: Stream[AddNetworkRequest, AddNetworkReply]) -> None:
        """The sandbox's address, or Success=false; a wrong version is FAILED_PRECONDITION."""
        request = await _received(stream)
        log.info(
            "Received AddNetwork for pod %s/%s: ContainerID(%s) Netns(%s) IfName(%s) NetworkName(%s)",
            request.K8S_POD_NAMESPACE,
            request.K8S_POD_NAME,
            request.ContainerID,
            request.Netns,
            request.IfName,
            request.NetworkName,
        )
        with self._behind.call():
            reply = await _add(await _served(self._behind), request)
            log.info("Send AddNetworkReply: Success: %s, %s", reply.Success, _spoken(reply))
            await stream.send_message(reply)

    async def DelNetwork(self, stream: Stream[DelNetworkRequest, DelNetworkReply]) -> None:
        """The address that was the sandbox's, for its tear-down; UNKNOWN with the plugin's words if it had none."""
        request = await _received(stream)
        log.info(
            "Received DelNetwork for pod %s/%s: ContainerID(%s) IfName(%s) NetworkName(%s) Reason(%s)",
            request.K8S_POD_NAMESPACE,
            request.K8S_POD_NAME,
            request.ContainerID,
            request.IfName,
            request.NetworkName,
            request.Reason,
        )
        with self._behind.call():
            reply = await _delete(await _served(self._behind), request)
            log.info("Send DelNetworkReply: Success: %s, %s", reply.Success, _spoken(reply))
            await stream.send_message(reply)


class ConfigServer(ConfigServerBackendBase):
    """What the network-policy agent asks at its start."""

    def __init__(self, behind: Behind) -> None:
        self._behind = behind

    async def GetNetworkPolicyConfigs(self, stream: Stream[Empty, NetworkPolicyAgentConfigReply]) -> None:
        """Mode, instance, region and the node's own address."""
        await _received(stream)
        node = (await _served(self._behind)).node
        await stream.send_message(
            NetworkPolicyAgentConfigReply(
                NetworkPolicyMode=node.network_policy_mode,
                NodeIPv4="" if node.ipv6 else str(node.node_address),
                NodeIPv6=str(node.node_ipv6 or "") if node.ipv6 else "",
                InstanceID=node.instance_id,
                Region=node.region,
            )
        )


async def _received(stream: Stream[Request, Any]) -> Request:
    request = await stream.recv_message()
    if request is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call ended without a request")
    return request


async def _served(behind: Behind) -> Served:
    try:
        return await behind.served()
    except NotStartedError as error:  # as from a socket that is not there
        raise GRPCError(Status.UNAVAILABLE, str(error)) from None


async def _add(served: Served, request: AddNetworkRequest) -> AddNetworkReply:
    _check_version(request.ClientVersion, served)
    call = CniCall(
        command="ADD",
        version=VERSION,
        network=request.NetworkName,
        container_id=request.ContainerID,
        interface=request.IfName,
        netns=request.Netns,
        # as the plugin names it, even if that is nothing: the host veth that it makes is named after it
        pod=Pod(request.K8S_POD_NAMESPACE, request.K8S_POD_NAME),
        every_card=request.RequiresMultiNICAttachment,
    )
    if problem := _problem(call):
        log.error("no address for pod %s (%s): %s", call.pod, call.container_id, problem)
        return AddNetworkReply(Success=False)
    try:
        if served.branches is not None and (found := await served.branches.of_pod(call.pod)) is not None:
            return _branch_reply(served, found, await served.branches.trunk_index(found.trunk))
        assigned = await served.agent.assign_only(call)
    except HostError as error:
        log.error("no address for pod %s (%s): %s", call.pod, call.container_id, error)
        return AddNetworkReply(Success=False)
    except CniError as error:
        # the wire has no place for the reason: the plugin says only that there is no address
        log.error("%s. %s", error, error.details)
        return AddNetworkReply(Success=False)
    return AddNetworkReply(
        Success=await _annotated(served, assigned[0][0]),
        IPAllocationMetadata=[_metadata(assignment, eni) for assignment, eni in assigned],
        UseExternalSNAT=served.node.external_snat and not served.node.ipv6,
        VPCv4CIDRs=served.node.direct_cidrs,
        VPCv6CIDRs=map(str, served.node.vpc_ipv6_cidrs) if served.node.ipv6 else (),
        NetworkPolicyMode=served.node.network_policy_mode,
    )


def _branch_reply(served: Served, found: Trunked, parent: int) -> AddNetworkReply:
    """The caller makes the VLAN itself: its number, its MAC, its router, and the trunk's device (spec 3.3)."""
    branch = found.branch
    return AddNetworkReply(
        Success=True,
        IPAllocationMetadata=[
            IPAllocationMetadata(IPv4Addr=str(branch.address), DeviceNumber=NO_DEVICE, RouteTableId=0)
        ],
        UseExternalSNAT=served.node.external_snat,
        VPCv4CIDRs=served.node.direct_cidrs,
        PodVlanId=branch.vlan,
        PodENIMAC=branch.mac,
        PodENISubnetGW=str(branch.gateway),
        ParentIfIndex=parent,
        NetworkPolicyMode=served.node.network_policy_mode,
    )


async def _released_branch(served: Served, call: CniCall, uid: str) -> DelNetworkReply:
    """For its tear-down, the VLAN of a pod that no pool knows. Raises GRPCError."""
    if served.branches is None:
        raise GRPCError(Status.UNKNOWN, UNKNOWN_POD)
    try:
        found = await served.branches.of_pod(call.pod, uid)
    except CniError as error:
        raise GRPCError(Status.UNKNOWN, str(error)) from error
    if found is None:
        raise GRPCError(Status.UNKNOWN, UNKNOWN_POD)
    return DelNetworkReply(
        Success=True,
        IPAllocationMetadata=[IPAllocationMetadata(IPv4Addr=str(found.branch.address))],
        PodVlanId=found.branch.vlan,
        NetworkPolicyMode=served.node.network_policy_mode,
    )


async def _annotated(served: Served, assignment: Assignment) -> bool:
    """A pod that shall say its address and cannot is no success; the reply has the address all the same (spec 3.3)."""
    if served.annotator is None:
        return True
    try:
        await served.annotator.given(assignment.pod, assignment.address)
    except AnnotationError as error:
        log.error("pod %s cannot be annotated with %s: %s", assignment.pod, assignment.address, error)
        return False
    return True


async def _delete(served: Served, request: DelNetworkRequest) -> DelNetworkReply:
    _check_version(request.ClientVersion, served)
    call = CniCall(
        command="DEL",
        version=VERSION,
        network=request.NetworkName,
        container_id=request.ContainerID,
        interface=request.IfName,
        pod=Pod(request.K8S_POD_NAMESPACE, request.K8S_POD_NAME),
    )
    # of the caller's words only these two: the reason is a metric's label
    released = await served.agent.release_only(call, FAILED if request.Reason == FAILED else DELETED)
    if not released:
        return await _released_branch(served, call, request.K8S_POD_UID)
    first, _ = released[0]
    if served.annotator is not None:
        try:
            await served.annotator.taken_back(first.pod, first.address)
        except AnnotationError as error:
            raise GRPCError(Status.UNKNOWN, str(error)) from error
    return DelNetworkReply(
        Success=True,
        IPAllocationMetadata=[_metadata(assignment, eni) for assignment, eni in released],
        NetworkPolicyMode=served.node.network_policy_mode,
    )


def _check_version(theirs: str, served: Served) -> None:
    ours = served.node.client_version
    if ours and theirs != ours:
        raise GRPCError(Status.FAILED_PRECONDITION, f'wrong client version "{theirs}" (!= "{ours}")')


def _problem(call: CniCall) -> str:
    """Why no address can be assigned, whatever the pool holds. The container's ID becomes part of a file's name."""
    if not (call.container_id and call.interface and call.network):
        return "ContainerID, IfName and NetworkName must not be empty"
    if not IDENTIFIER.match(call.container_id) or INTERFACE_BAD.search(call.interface):
        return f"ContainerID {call.container_id!r} or IfName {call.interface!r} is not what the CNI specification allows"
    return ""


def _metadata(assignment: Assignment, eni: Eni | None) -> IPAllocationMetadata:
    address = str(assignment.address)
    of_ipv6 = assignment.address.version == 6
    return IPAllocationMetadata(
        IPv4Addr="" if of_ipv6 else address,
        IPv6Addr=address if of_ipv6 else "",
        DeviceNumber=eni.device_index if eni is not None else 0,
        # of an ENI that is gone the table is gone too
        RouteTableId=eni.route_table if eni is not None else MAIN_TABLE,
    )


def _spoken(reply: AddNetworkReply | DelNetworkReply) -> str:
    return ", ".join(
        f"IPv4Addr: {entry.IPv4Addr}, IPv6Addr: {entry.IPv6Addr}, DeviceNumber: {entry.DeviceNumber}, RouteTableId: {entry.RouteTableId}"
        for entry in reply.IPAllocationMetadata
    )
