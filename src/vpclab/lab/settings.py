"""What a lab is asked to be: as `vpc-lab up` hands it to the lab's daemon. Light to import."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from vpclab.lab.state import LabError

STUDY, PATHS = TOPOLOGIES = ("study", "paths")
"""The study's VPC; and that with everything that packets can go to (`vpclab.region.paths`)."""


REGION = "ap-northeast-2"
"""Where a lab is."""
IPV6_CLUSTER: Mapping[str, str] = {
    "ENABLE_IPv4": "false",
    "ENABLE_IPv6": "true",
    "ENABLE_PREFIX_DELEGATION": "true",
}
"""What the add-on of an IPv6 cluster has (EKS user guide, IPv6)."""


@dataclass(frozen=True, slots=True)
class LabSettings:
    """One lab."""

    name: str
    nodes: int = 3
    instance_type: str = "t3.medium"
    env: Mapping[str, str] = field(default_factory=dict)
    """The agents' environment, beside what every lab sets."""
    real_delays: bool = True
    """Whether EC2 and IMDS take their time and the account's rate limits hold."""
    seed: int = 0
    """From which EC2's ids, delays and faults are drawn."""
    faults: tuple[str, ...] = ()
    """On before the first agent starts, in the words of `vpclab.region.faults`."""
    subnet_bits: int = 24
    """Prefix length of the subnets that nodes are in."""
    free: int | None = None
    """Addresses that are left free in each of these once the machines are up; None: all that they don't use."""
    scattered: bool = False
    """With `free`: the free addresses are spread so that no /28 is wholly free."""
    secondary_cidr: str | None = None
    """A CIDR block that the VPC has beside its own."""
    extra_subnets: int = 0
    """Further subnets in each zone, from the secondary CIDR block if there is one."""
    subnet_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the further subnets."""
    topology: str = STUDY
    api_port: int = 0
    """On the machine's loopback, where AWS's API answers; 0: a free one."""
    strict_auth: bool = False
    """Whether the API verifies signatures against the lab's keys; else any key will do."""
    kubernetes: bool = False
    """Whether nodes run kubelet and containerd, and there is a control plane; else pods are namespaces."""
    kubernetes_bin: str | None = None
    """Where its programs are; what `make kubernetes` built if None."""
    empty: bool = False
    """Whether nothing is in the region yet."""
    template: str | None = None
    """The text of a CloudFormation template to begin with instead of the study's."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the template, beside those that the settings above give to the study's."""
    private_nodes: int = 0
    """Nodes in private subnets, behind the NAT gateway, beside the others: with the topology of every path only."""

    dual_stack: bool = False
    """Whether the VPC has IPv6 beside IPv4."""
    ipv6: bool = False
    """Whether pods are of IPv6: an IPv6 cluster, in a VPC that has both."""

    @property
    def agent_env(self) -> Mapping[str, str]:
        """The agents' environment, what an IPv6 cluster's agents need included."""
        return {**IPV6_CLUSTER, **self.env} if self.ipv6 else self.env

    def to_json(self) -> str:
        """For the daemon's command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LabSettings:
        """What `to_json` wrote."""
        read = json.loads(text)
        return cls(**{**read, "faults": tuple(read["faults"])})

    def check(self) -> None:
        """Raises LabError for numbers that no lab can have."""
        if not 20 <= self.subnet_bits <= 28:
            raise LabError(f"a node's subnet is a /20 to a /28 here, not a /{self.subnet_bits}")
        if self.free is not None and self.free < 0:
            raise LabError(f"--free {self.free}: how many addresses are to be free?")
        if self.scattered and self.free is None:
            raise LabError("--scattered says where the addresses of --free are: give both")
        if not 0 <= self.extra_subnets <= 8:
            raise LabError(f"{self.extra_subnets} further subnets a zone: 0 to 8, please")
        if self.topology not in TOPOLOGIES:
            raise LabError(f"there is no topology {self.topology}; there are {', '.join(TOPOLOGIES)}")
        if self.ipv6 and self.kubernetes:
            raise LabError("the lab's Kubernetes is of IPv4: give --ipv6 or --kubernetes")
        if self.private_nodes and self.topology != PATHS:
            raise LabError(f"private nodes need a NAT gateway: --topology {PATHS}")
        if self.empty and (self.template is not None or self.parameters):
            raise LabError("an empty lab begins without a template: --empty, or --template and --parameter")
        if (self.empty or self.template is not None) and (self.topology, self.extra_subnets, self.free) != (
            STUDY,
            0,
            None,
        ):
            raise LabError(
                "--topology, --extra-subnets and --free are of the study's VPC, which this lab does not have"
            )
        if self.kubernetes and (self.empty or self.template is not None):
            raise LabError("--kubernetes is for the study's cluster, which this lab does not begin with")
        if self.subnet_tags and not self.extra_subnets:
            raise LabError("--subnet-tag is for the subnets that --extra-subnets makes: give both")
