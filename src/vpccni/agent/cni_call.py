"""One call of the CNI plugin as values: what the runtime asked, checked at the edge, and what it is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_interface
from typing import Any

from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Address, Pod, SandboxKey
from vpccni.kube.branch import Branch

SUPPORTED = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
INCOMPATIBLE, UNKNOWN_CONTAINER, BAD_ENV, DECODE_FAILURE, INVALID_CONFIG, TRY_AGAIN, INTERNAL = (
    1,
    3,
    4,
    6,
    7,
    11,
    999,
)
NOT_AVAILABLE, LIMITED = 50, 51
NO_ADDRESS = "failed to assign an IP address to container"
"""The sentence people search for and alert on (spec 4.4); the reason follows it."""

PASSING = frozenset(
    {
        Reason.AGENT_STARTING,
        Reason.AGENT_UNREACHABLE,
        Reason.POOL_REFILLING,
        Reason.ALL_COOLING,
        Reason.THROTTLED,
        Reason.EC2_UNREACHABLE,
        Reason.ENI_NOT_VISIBLE,
        Reason.API_SERVER,
        Reason.BRANCH_ENI_AWAITED,
    }
)
"""Reasons that pass by themselves: answered with "try again later"; the others with the original's 999."""

POD_ANNOTATIONS = "io.kubernetes.cri.pod-annotations"
NIC_CONFIG, EVERY_CARD = "k8s.amazonaws.com/nicConfig", "multi-nic-attachment"
"""The pod's annotation and the only value that means something (spec 4.1)."""
DUMMY = "dummy"
"""How the result's entry begins that is no interface and carries what a DEL wants to know (spec 4.2)."""
HASH_DIGITS = 11
MOST_VLAN = 4094
MORE_INTERFACES = re.compile(r"mNicIf[0-9]+\Z")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*\Z")
INTERFACE_BAD = re.compile(r"[/:\s]")


class CniError(Exception):
    """An answer of failure: the specification's error object."""

    def __init__(self, code: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @classmethod
    def refused(cls, refusal: Refusal, pod: Pod) -> CniError:
        """A pod cannot have an address: reason in the message, what to do in the details."""
        code = TRY_AGAIN if refusal.reason in PASSING else INTERNAL
        return cls(
            code, f"{NO_ADDRESS}: {refusal} (pod {pod})", f"{refusal.reason.value}: {refusal.reason.advice}"
        )


@dataclass(frozen=True, slots=True)
class PreviousResult:
    """What of an earlier ADD's result matters to us: our interfaces by name and our address."""

    host_veth: str
    address: Address
    route_table: int


@dataclass(frozen=True, slots=True)
class Placed:
    """What a connected pod with a branch ENI has on the host."""

    vlan: int
    address: IPv4Address | None
    """None: nothing on the host tells it any more, and nothing there needs it."""
    host_veth: str


@dataclass(frozen=True, slots=True)
class CniCall:
    """A call that passed the checks of the edge."""

    command: str
    version: str
    network: str
    container_id: str = ""
    interface: str = ""
    netns: str = ""
    pod: Pod = field(default_factory=lambda: Pod("", ""))
    mtu: int = 9001
    veth_prefix: str = "eni"
    previous: tuple[PreviousResult, ...] = ()
    """Our interfaces in an earlier ADD's result."""
    kind: str = "aws-cni"
    """Which of our plugins was called."""
    branch: Placed | None = None
    """What an earlier ADD made of it with a branch ENI."""
    every_card: bool = False
    """The pod asks for an interface on each network card (spec 4.1)."""
    valid: frozenset[tuple[str, str]] = frozenset()
    """GC's valid attachments: (container id, interface)."""

    @property
    def key(self) -> SandboxKey:
        """The attachment that this call is about."""
        return SandboxKey(self.network, self.container_id, self.interface)


def parse_call(env: Mapping[str, str], stdin: bytes) -> CniCall:
    """The call as values. Raises CniError with the specification's code if it is not one that we can serve."""
    command = env.get("CNI_COMMAND", "")
    try:
        conf = json.loads(stdin)
    except ValueError as error:
        raise CniError(DECODE_FAILURE, f"the network configuration is not JSON: {error}") from None
    if not isinstance(conf, dict):
        raise CniError(DECODE_FAILURE, "the network configuration is not a JSON object")
    version = conf.get("cniVersion") or "0.2.0"
    if version not in SUPPORTED:
        raise CniError(
            INCOMPATIBLE, f"cniVersion {version} is not supported", f"supported: {', '.join(SUPPORTED)}"
        )
    network = conf.get("name")
    if not isinstance(network, str) or not IDENTIFIER.match(network):
        raise CniError(
            INVALID_CONFIG, "missing network name" if not network else f"invalid network name {network!r}"
        )
    if command in {"STATUS", "GC"}:
        if version != "1.1.0":
            raise CniError(INCOMPATIBLE, f"{command} needs cniVersion 1.1.0, the configuration has {version}")
        return CniCall(
            command, version, network, valid=_valid_attachments(conf) if command == "GC" else frozenset()
        )
    if command == "CHECK" and version in {"0.3.0", "0.3.1"}:
        raise CniError(
            INCOMPATIBLE, f"CHECK needs cniVersion 0.4.0 or newer, the configuration has {version}"
        )
    container_id, interface = env.get("CNI_CONTAINERID", ""), env.get("CNI_IFNAME", "")
    if not IDENTIFIER.match(container_id):
        raise CniError(BAD_ENV, f"invalid CNI_CONTAINERID {container_id!r}")
    if interface in {"", ".", ".."} or len(interface) > 15 or INTERFACE_BAD.search(interface):
        raise CniError(BAD_ENV, f"invalid CNI_IFNAME {interface!r}")
    args = dict(part.split("=", 1) for part in env.get("CNI_ARGS", "").split(";") if "=" in part)
    prefix = conf.get("vethPrefix") or "eni"
    if not isinstance(prefix, str) or len(prefix) > 4:
        raise CniError(INVALID_CONFIG, "conf.VethPrefix can be at most 4 characters long")
    return CniCall(
        command=command,
        version=version,
        network=network,
        container_id=container_id,
        interface=interface,
        netns=env.get("CNI_NETNS", ""),
        # a runtime without pods: the container is the pod, or all of them would share one host veth's name
        pod=Pod(args.get("K8S_POD_NAMESPACE", ""), args.get("K8S_POD_NAME") or container_id),
        mtu=_mtu(conf.get("mtu")),
        veth_prefix=prefix,
        previous=previous_results(conf.get("prevResult"), interface),
        kind=str(conf.get("type", "aws-cni")),
        branch=previous_branch(conf.get("prevResult"), interface),
        every_card=_every_card(conf),
    )


def _mtu(text: object) -> int:
    """A bad or missing MTU is 9001, as in the original (spec 4.1)."""
    number = int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else 0
    return number if 576 <= number <= 9001 else 9001


def _valid_attachments(conf: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    listed = conf.get("cni.dev/valid-attachments")
    if not isinstance(listed, list):
        raise CniError(INVALID_CONFIG, "GC without cni.dev/valid-attachments would remove every attachment")
    try:
        return frozenset((str(item["containerID"]), str(item["ifname"])) for item in listed)
    except (KeyError, TypeError):
        raise CniError(
            INVALID_CONFIG, "an item of cni.dev/valid-attachments has no containerID or ifname"
        ) from None


def _every_card(conf: Mapping[str, Any]) -> bool:
    """What the pod's annotation says, which the runtime passes on if the conflist asks for it."""
    found: object = conf
    for key in ("runtimeConfig", POD_ANNOTATIONS, NIC_CONFIG):
        found = found.get(key) if isinstance(found, dict) else None
    return found == EVERY_CARD


def previous_results(result: object, interface: str) -> tuple[PreviousResult, ...]:
    """Our part of a prevResult, found by name (chained plugins add interfaces of their own; spec 12)."""
    if not isinstance(result, dict):
        return ()
    found: list[PreviousResult] = []
    try:
        interfaces = result.get("interfaces") or []
        for index, entry in enumerate(interfaces):
            if not (entry["name"] == interface or MORE_INTERFACES.match(entry["name"])):
                continue
            if not entry.get("sandbox") or index == 0:
                continue
            for ip in result.get("ips") or []:
                if ip.get("interface") == index:
                    table = str(entry.get("mac", ""))
                    found.append(
                        PreviousResult(
                            host_veth=str(interfaces[index - 1]["name"]),
                            address=ip_interface(ip["address"]).ip,
                            route_table=int(table) if table.isdigit() else 254,
                        )
                    )
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()  # a result that is not ours, or from a plugin older than we know: there is nothing to learn from it
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Connected:
    """One of a pod's interfaces, for the result."""

    host_veth: str
    interface: str
    address: Address
    route_table: int
    device_index: int


def result_json(call: CniCall, connected: Sequence[Connected]) -> bytes:
    """ADD's result in the shape of the original (spec 4.4, 12): tables and device numbers ride in mac and sandbox."""
    interfaces: list[dict[str, str]] = []
    ips: list[dict[str, object]] = []
    for one in connected:
        interfaces.append({"name": one.host_veth})
        ip: dict[str, object] = {
            "interface": len(interfaces),
            "address": f"{one.address}/{one.address.max_prefixlen}",
        }
        ips.append({"version": str(one.address.version), **ip} if call.version < "1.0.0" else ip)
        interfaces.append({"name": one.interface, "mac": str(one.route_table), "sandbox": call.netns})
    first = connected[0]
    dummy = {
        "name": f"{DUMMY}{first.host_veth[-HASH_DIGITS:]}",
        "mac": "0",
        "sandbox": str(first.device_index),
    }
    result = {"cniVersion": call.version, "interfaces": [*interfaces, dummy], "ips": ips, "dns": {}}
    return json.dumps(result, indent=4).encode()


def previous_branch(result: object, interface: str) -> Placed | None:
    """What an earlier ADD's result says of a branch ENI: the dummy's MAC is the VLAN, if that is not 0 (spec 4.4, 4.8)."""
    previous = previous_results(result, interface)
    entries = result.get("interfaces") if isinstance(result, dict) and previous else None
    vlans = [
        int(entry["mac"])
        for entry in entries or ()
        if isinstance(entry, dict)
        and str(entry.get("name", "")).startswith(DUMMY)
        and str(entry.get("mac", "")).isdecimal()
    ]
    if not vlans or not 0 < vlans[0] <= MOST_VLAN:
        return None
    address = previous[0].address
    return Placed(vlans[0], address if isinstance(address, IPv4Address) else None, previous[0].host_veth)


def branch_result_json(call: CniCall, host_veth: str, branch: Branch) -> bytes:
    """ADD's result for a pod with a branch ENI (spec 4.4)."""
    ip: dict[str, object] = {
        "interface": 1,
        "address": f"{branch.address}/32",
        "gateway": str(branch.gateway),
    }
    result = {
        "cniVersion": call.version,
        "interfaces": [
            {"name": host_veth},
            {"name": call.interface, "mac": "0", "sandbox": call.netns},
            {"name": f"{DUMMY}{host_veth[-HASH_DIGITS:]}", "mac": str(branch.vlan)},
        ],
        "ips": [{"version": "4", **ip} if call.version < "1.0.0" else ip],
        "dns": {},
    }
    return json.dumps(result, indent=4).encode()


def error_json(error: CniError, version: str) -> bytes:
    """The specification's error object."""
    body = {"cniVersion": version, "code": error.code, "msg": error.message}
    if error.details:
        body["details"] = error.details
    return json.dumps(body, indent=4).encode()
