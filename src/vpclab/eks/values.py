"""The nouns of EKS, as its API describes them. Frozen: a change is a new value in the tables."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from vpclab.region.values import MetadataOptions, Tags


class Status(enum.Enum):
    """Of clusters, node groups and add-ons; not all of them are of all."""

    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    FAILED = "FAILED"
    CREATE_FAILED = "CREATE_FAILED"
    UPDATE_FAILED = "UPDATE_FAILED"
    DELETE_FAILED = "DELETE_FAILED"
    DEGRADED = "DEGRADED"


@dataclass(frozen=True, slots=True)
class Issue:
    """What is wrong with a node group or an add-on; `code` is EKS's."""

    code: str
    message: str
    resource_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """An EKS cluster."""

    name: str
    version: str
    role_arn: str
    vpc_id: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    cluster_security_group_id: str
    """Made by EKS: control plane and managed nodes talk by it."""
    service_cidr: IPv4Network
    oidc_id: str
    status: Status
    created_at: float
    authentication_mode: str = "API_AND_CONFIG_MAP"
    public_access: bool = True
    private_access: bool = False
    public_access_cidrs: tuple[str, ...] = ("0.0.0.0/0",)
    logging: Mapping[str, bool] = field(default_factory=dict, hash=False)
    """Type of the control plane's logs -> whether it is written."""
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many nodes a group has at least, at most, and is to have."""

    minimum: int = 1
    maximum: int = 2
    desired: int = 2


@dataclass(frozen=True, slots=True)
class Nodegroup:
    """A managed node group; its nodes are the instances whose tags name it."""

    cluster: str
    name: str
    uid: str
    """Ends its ARN and its Auto Scaling group's name."""
    version: str
    release: str
    scaling: Scaling
    instance_types: tuple[str, ...]
    subnet_ids: tuple[str, ...]
    group_ids: tuple[str, ...]
    """Security groups of the nodes."""
    node_role: str
    ami_type: str
    capacity_type: str
    disk_size: int
    max_unavailable: int
    status: Status
    created_at: float
    modified_at: float
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    taints: tuple[tuple[str, str, str], ...] = ()
    """Key, value, effect."""
    issues: tuple[Issue, ...] = ()
    ssh_key: str | None = None
    metadata: MetadataOptions = field(default_factory=MetadataOptions)
    """Of its nodes."""
    tags: Tags = field(default_factory=dict, hash=False)

    @property
    def asg_name(self) -> str:
        """Its Auto Scaling group's name."""
        return f"eks-{self.name}-{self.uid}"


@dataclass(frozen=True, slots=True)
class Addon:
    """An add-on that a cluster has."""

    cluster: str
    name: str
    uid: str
    version: str
    status: Status
    created_at: float
    modified_at: float
    configuration: str = ""
    """As it was given, JSON or YAML."""
    service_account_role: str = ""
    issues: tuple[Issue, ...] = ()
    pod_identities: tuple[str, ...] = ()
    """ARNs of the associations that were made with it."""
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Update:
    """Something that EKS does, or did, to a cluster, a node group or an add-on."""

    id: str
    cluster: str
    type: str
    params: tuple[tuple[str, str], ...]
    created_at: float
    nodegroup: str = ""
    addon: str = ""
    status: str = "InProgress"
    errors: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """Who may use the cluster's API, and as whom."""

    cluster: str
    principal: str
    uid: str
    created_at: float
    modified_at: float
    type: str = "STANDARD"
    username: str = ""
    groups: tuple[str, ...] = ()
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PolicyAssociation:
    """What an access entry may do: a policy of EKS's, in the cluster or in some namespaces of it."""

    policy: str
    scope: str
    namespaces: tuple[str, ...]
    associated_at: float
    modified_at: float


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """A service account's role."""

    id: str
    cluster: str
    namespace: str
    service_account: str
    role_arn: str
    created_at: float
    modified_at: float
    owner: str = ""
    """The add-on's ARN that it was made with."""
    disable_session_tags: bool = False
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class EksDelays:
    """Seconds that EKS takes. As in life a cluster takes ten minutes; a lab's are shorter, and (0, 0) is at once."""

    cluster: tuple[float, float] = (0.0, 0.0)
    nodegroup: tuple[float, float] = (0.0, 0.0)
    """From a change of a group to its first step; the instances take their own time."""
    addon: tuple[float, float] = (0.0, 0.0)
    replace: tuple[float, float] = (0.0, 0.0)
    """From the loss of a node to the launch of its replacement."""
