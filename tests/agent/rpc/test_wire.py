"""The wire to the byte: the field table of spec 3.2, and messages put together by hand."""

from __future__ import annotations

import filecmp
import importlib.util
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from vpccni.agent.rpc import rpc_pb2
from vpccni.agent.rpc.rpc_pb2 import (
    AddNetworkReply,
    AddNetworkRequest,
    DelNetworkReply,
    DelNetworkRequest,
    EnforceNpRequest,
    IPAllocationMetadata,
)

ROOT = Path(__file__).parents[3]
TEXT, FLAG, NUMBER = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_INT32
SUB = FieldDescriptor.TYPE_MESSAGE
POD = {1: ("K8S_POD_NAME", TEXT), 2: ("K8S_POD_NAMESPACE", TEXT)}
TABLE = {
    "AddNetworkRequest": {
        **POD,
        3: ("K8S_POD_INFRA_CONTAINER_ID", TEXT),
        4: ("Netns", TEXT),
        5: ("IfName", TEXT),
        6: ("NetworkName", TEXT),
        7: ("ContainerID", TEXT),
        8: ("ClientVersion", TEXT),
        9: ("RequiresMultiNICAttachment", FLAG),
    },
    "IPAllocationMetadata": {
        1: ("IPv4Addr", TEXT),
        2: ("IPv6Addr", TEXT),
        3: ("DeviceNumber", NUMBER),
        4: ("RouteTableId", NUMBER),
    },
    "AddNetworkReply": {
        1: ("Success", FLAG),
        2: ("IPAllocationMetadata", SUB),
        5: ("UseExternalSNAT", FLAG),
        6: ("VPCv4CIDRs", TEXT),
        7: ("PodVlanId", NUMBER),
        8: ("PodENIMAC", TEXT),
        9: ("PodENISubnetGW", TEXT),
        10: ("ParentIfIndex", NUMBER),
        12: ("VPCv6CIDRs", TEXT),
        13: ("NetworkPolicyMode", TEXT),
    },
    "DelNetworkRequest": {
        **POD,
        3: ("K8S_POD_INFRA_CONTAINER_ID", TEXT),
        5: ("Reason", TEXT),
        6: ("IfName", TEXT),
        7: ("NetworkName", TEXT),
        8: ("ContainerID", TEXT),
        9: ("ClientVersion", TEXT),
        10: ("K8S_POD_UID", TEXT),
    },
    "DelNetworkReply": {
        1: ("Success", FLAG),
        2: ("IPAllocationMetadata", SUB),
        4: ("PodVlanId", NUMBER),
        6: ("NetworkPolicyMode", TEXT),
    },
    "EnforceNpRequest": {**POD, 3: ("NETWORK_POLICY_MODE", TEXT), 4: ("InterfaceCount", NUMBER)},
    "EnforceNpReply": {1: ("Success", FLAG)},
    "DeleteNpRequest": POD,
    "DeleteNpReply": {1: ("Success", FLAG)},
    "NetworkPolicyAgentConfigReply": {
        1: ("NetworkPolicyMode", TEXT),
        2: ("MultiNICEnabled", FLAG),
        3: ("NodeIPv4", TEXT),
        4: ("NodeIPv6", TEXT),
        5: ("InstanceID", TEXT),
        6: ("Region", TEXT),
    },
}
REPEATED = {"IPAllocationMetadata", "VPCv4CIDRs", "VPCv6CIDRs"}
METHODS = {
    "CNIBackend": {
        "AddNetwork": ("rpc.AddNetworkRequest", "rpc.AddNetworkReply"),
        "DelNetwork": ("rpc.DelNetworkRequest", "rpc.DelNetworkReply"),
    },
    "ConfigServerBackend": {
        "GetNetworkPolicyConfigs": ("google.protobuf.Empty", "rpc.NetworkPolicyAgentConfigReply"),
    },
    "NPBackend": {
        "EnforceNpToPod": ("rpc.EnforceNpRequest", "rpc.EnforceNpReply"),
        "DeletePodNp": ("rpc.DeleteNpRequest", "rpc.DeleteNpReply"),
    },
}


def test_every_message_has_the_fields_of_the_table_and_no_other() -> None:
    messages = rpc_pb2.DESCRIPTOR.message_types_by_name
    assert {
        name: {field.number: (field.name, field.type) for field in message.fields}
        for name, message in messages.items()
    } == TABLE
    repeated = {field.name for message in messages.values() for field in message.fields if field.is_repeated}
    assert repeated == REPEATED


def test_every_service_has_the_methods_of_the_table_and_no_other() -> None:
    assert rpc_pb2.DESCRIPTOR.package == "rpc"
    assert {
        name: {
            method.name: (method.input_type.full_name, method.output_type.full_name)
            for method in service.methods
        }
        for name, service in rpc_pb2.DESCRIPTOR.services_by_name.items()
    } == METHODS


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (AddNetworkReply(), ""),
        (DelNetworkReply(Success=False), ""),
        (
            AddNetworkRequest(K8S_POD_NAME="p", ContainerID="c", RequiresMultiNICAttachment=True),
            "0a0170 3a0163 4801",
        ),
        (
            AddNetworkReply(
                Success=True,
                IPAllocationMetadata=[
                    IPAllocationMetadata(IPv4Addr="1.2.3.4", DeviceNumber=-1, RouteTableId=254)
                ],
                VPCv4CIDRs=["a", "b"],
                NetworkPolicyMode="none",
            ),
            # a negative int32 takes ten bytes; 254 is fe 01
            "0801 1217 0a07312e322e332e34 18ffffffffffffffffff01 20fe01 320161 320162 6a046e6f6e65",
        ),
        (DelNetworkRequest(Reason="r", K8S_POD_UID="u"), "2a0172 520175"),
        (DelNetworkReply(Success=True, PodVlanId=7, NetworkPolicyMode="x"), "0801 2007 320178"),
        (EnforceNpRequest(NETWORK_POLICY_MODE="strict", InterfaceCount=2), "1a06737472696374 2002"),
    ],
)
def test_bytes(message: Message, wire: str) -> None:
    assert message.SerializeToString(deterministic=True) == bytes.fromhex(wire)
    assert type(message).FromString(bytes.fromhex(wire)) == message


def test_a_later_versions_field_is_no_obstacle() -> None:
    known = AddNetworkRequest(ContainerID="c")
    assert (
        AddNetworkRequest.FromString(known.SerializeToString() + bytes.fromhex("520178")).ContainerID == "c"
    )


def test_what_is_checked_in_is_what_the_proto_gives(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generate_rpc", ROOT / "tools" / "generate_rpc.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.generate(tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.py*"))
    assert [path.name for path in made] == ["rpc_grpc.py", "rpc_pb2.py", "rpc_pb2.pyi"]
    _, different, missing = filecmp.cmpfiles(tmp_path, ROOT / "src", made, shallow=False)
    assert (different, missing) == ([], []), f"run {sys.executable} tools/generate_rpc.py"
