"""The nouns of a VPC, as EC2 describes them. Frozen: a change is a new value in the region's tables."""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType

Tags = Mapping[str, str]
NO_TAGS: Tags = MappingProxyType({})


def frozen(tags: Tags) -> Tags:
    """A copy that stays as it is."""
    return MappingProxyType(dict(tags))


@dataclass(frozen=True, slots=True)
class Vpc:
    """A virtual private cloud; `cidrs[0]` is the primary CIDR block."""

    id: str
    cidrs: tuple[IPv4Network, ...]
    tags: Tags = field(default_factory=dict, hash=False)
    ipv6_cidrs: tuple[IPv6Network, ...] = ()
    """Amazon-provided /56 blocks."""

    @property
    def all_cidrs(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Of both families."""
        return (*self.cidrs, *self.ipv6_cidrs)


@dataclass(frozen=True, slots=True)
class Subnet:
    """One zone's slice of a VPC. `public` ones route 0.0.0.0/0 to the internet gateway (kept by RouteTables)."""

    id: str
    vpc_id: str
    zone: str
    cidr: IPv4Network
    public: bool = False
    map_public_ip_on_launch: bool = False
    tags: Tags = field(default_factory=dict, hash=False)
    ipv6_cidr: IPv6Network | None = None
    """A /64 of one of its VPC's IPv6 blocks."""
    ipv6_on_creation: bool = False
    """Whether each new ENI gets an IPv6 address (AssignIpv6AddressOnCreation)."""

    @property
    def gateway(self) -> IPv4Address:
        """The VPC router's address in this subnet: network + 1."""
        return self.cidr.network_address + 1


@dataclass(frozen=True, slots=True)
class InternetGateway:
    """The VPC's way to and from the internet; attached to at most one VPC ("": to none), and a VPC has at most one."""

    id: str
    vpc_id: str
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class SecurityGroupRule:
    """One permission. `protocol` is EC2's: "-1", "tcp", "udp", "icmp", "icmpv6"; the peer is a CIDR or a group."""

    protocol: str = "-1"
    from_port: int | None = None
    to_port: int | None = None
    cidr: IPv4Network | IPv6Network | None = None
    group_id: str | None = None
    description: str = field(default="", compare=False)
    id: str = field(default="", compare=False)
    """Given when it becomes a group's. Two rules that let the same through are the same rule to EC2."""
    tags: Tags = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A stateful set of permissions that ENIs refer to."""

    id: str
    name: str
    vpc_id: str
    description: str = ""
    ingress: tuple[SecurityGroupRule, ...] = ()
    egress: tuple[SecurityGroupRule, ...] = ()
    tags: Tags = field(default_factory=dict, hash=False)


class EniStatus(enum.Enum):
    """`Status` of DescribeNetworkInterfaces (aws-emulation 4.5)."""

    AVAILABLE = "available"
    ATTACHING = "attaching"
    IN_USE = "in-use"
    DETACHING = "detaching"


class AttachmentStatus(enum.Enum):
    """`Attachment.Status` of DescribeNetworkInterfaces."""

    ATTACHING = "attaching"
    ATTACHED = "attached"
    DETACHING = "detaching"


@dataclass(frozen=True, slots=True)
class Attachment:
    """An ENI's place on an instance. The device exists on the instance while status is ATTACHED."""

    id: str
    instance_id: str
    device_index: int
    network_card: int
    status: AttachmentStatus
    attached_at: float
    delete_on_termination: bool = False


@functools.lru_cache(maxsize=4096)
def single_network(address: IPv4Address) -> IPv4Network:
    """The network of this address alone. The same ones are asked for all the time, and making one takes microseconds."""
    return IPv4Network((int(address), 32))  # by number: made of an IPv4Address it is printed and parsed again


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """An elastic network interface."""

    id: str
    mac: str
    vpc_id: str
    subnet_id: str
    zone: str
    primary: IPv4Address
    secondary: tuple[IPv4Address, ...] = ()
    prefixes: tuple[IPv4Network, ...] = ()
    groups: tuple[str, ...] = ()
    status: EniStatus = EniStatus.AVAILABLE
    attachment: Attachment | None = None
    public_ip: IPv4Address | None = None
    source_dest_check: bool = True
    description: str = ""
    interface_type: str = "interface"
    """Something else for those that AWS makes for its own services: nat_gateway, network_load_balancer."""
    tags: Tags = field(default_factory=dict, hash=False)
    ipv6: tuple[IPv6Address, ...] = ()
    ipv6_prefixes: tuple[IPv6Network, ...] = ()

    @property
    def networks(self) -> tuple[IPv4Network, ...]:
        """Everything of IPv4 that the fabric delivers to this ENI: its primary, secondaries and prefixes."""
        return (*map(single_network, (self.primary, *self.secondary)), *self.prefixes)

    @property
    def ipv6_networks(self) -> tuple[IPv6Network, ...]:
        """The same of IPv6."""
        return (*(IPv6Network((int(address), 128)) for address in self.ipv6), *self.ipv6_prefixes)

    def holds(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether it is one of its addresses, or of a prefix's."""
        if isinstance(address, IPv4Address):
            return any(address in network for network in self.networks)
        return any(address in network for network in self.ipv6_networks)


class InstanceState(enum.Enum):
    """`State.Name` of DescribeInstances."""

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class MetadataOptions:
    """How an instance's metadata service answers (EC2 API, InstanceMetadataOptionsRequest).

    As they are here they are those of an image that says `ImdsSupport: v2.0`.
    """

    tokens_required: bool = True
    """HttpTokens: whether only version 2 is answered."""
    hop_limit: int = 2
    """HttpPutResponseHopLimit: how far a token travels; 1 is the instance itself, 2 its pods too."""
    enabled: bool = True
    """HttpEndpoint."""
    ipv6: bool = False
    """HttpProtocolIpv6."""
    tags: bool = False
    """InstanceMetadataTags: whether its tags are told."""


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance; its ENIs are found by `Region.enis_of(instance.id)`."""

    id: str
    type: str
    subnet_id: str
    vpc_id: str
    zone: str
    state: InstanceState
    launched_at: float
    image_id: str = ""
    """Empty: the lab's one image (`vpclab.region.imds.IMAGE`)."""
    user_data: str = ""
    """As text, not in base64."""
    auto_public_ip: bool = False
    """Whether a public address comes with it, for as long as it runs."""
    boots: int = 1
    """How often it was started or rebooted: another number is another boot."""
    metadata: MetadataOptions = MetadataOptions()
    tags: Tags = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The Name tag, or the id."""
        return self.tags.get("Name", self.id)


class Resource(enum.Enum):
    """What kind of thing changed."""

    VPC = "vpc"
    SUBNET = "subnet"
    INTERNET_GATEWAY = "internet-gateway"
    EGRESS_ONLY_GATEWAY = "egress-only-internet-gateway"
    SECURITY_GROUP = "security-group"
    INSTANCE = "instance"
    ENI = "network-interface"
    ROUTE_TABLE = "route-table"
    ELASTIC_IP = "elastic-ip"
    NAT_GATEWAY = "natgateway"
    PEERING = "vpc-peering-connection"
    VPN = "vpn"
    LOAD_BALANCER = "loadbalancer"
    EKS = "eks"
    """Something of a cluster (vpclab.eks)."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something about this resource is different; whoever follows reads the region again (level-triggered)."""

    resource: Resource
    id: str


class ApiError(Exception):
    """An AWS error as the client will see it (aws-emulation 4.4)."""

    def __init__(
        self, code: str, message: str, status: int = 400, *, fields: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields
        """What a JSON service's error carries beside its message, such as `clusterName`."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds that AWS takes (aws-emulation 4.5); a range is drawn from uniformly, (0, 0) is at once."""

    attach: tuple[float, float] = (1.0, 3.0)
    detach: tuple[float, float] = (1.0, 2.0)
    launch: tuple[float, float] = (0.0, 0.0)
    shutdown: tuple[float, float] = (0.0, 0.0)
    """From stopping to stopped, and from shutting-down to terminated."""
    nat_gateway: tuple[float, float] = (0.0, 0.0)
    imds: tuple[float, float] = field(default=(0.0, 0.0))
    """How long IMDS lags behind EC2 for ENIs and addresses."""
    imds_mac_linger: tuple[float, float] = (0.0, 0.0)
    """How long IMDS goes on listing a detached ENI's MAC while its keys are 404 (aws-emulation 4.5)."""
    unknown: tuple[float, float] = (0.0, 0.0)
    """How long a created ENI is not found by the calls that name it."""
    stale: tuple[float, float] = (0.0, 0.0)
    """How long DescribeNetworkInterfaces shows an ENI as it was before a change."""
