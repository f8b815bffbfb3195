"""Every environment variable, parsed in one place; what is bad is reported, all of it, with what is used instead.

Names, types and defaults: spec 2. The original's entrypoint exits on some bad values; we say so and go on with the
default, because a node without a CNI is worse than a node with the default MTU (docs/differences.md).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from vpccni.agent.setting_texts import (
    FALSE_WORDS,
    MTU_MIN,
    MTU_MIN_IPV6,
    TRUE_WORDS,
    at_least,
    boolean,
    cidr,
    listening_address,
    mark,
    mtu_from,
    one_of,
    plugin_log,
    probability,
    tag_problem,
    texts,
    veth_prefix,
)
from vpccni.ipam.shrinking import SURPLUS_LASTS
from vpccni.ipam.targets import WarmTargets
from vpccni.linux.branch_layout import Enforcing
from vpccni.linux.layout import RulesLayout

T = TypeVar("T")

ENI_CONFIG_KEY = "k8s.amazonaws.com/eniConfig"
MOST_TAGS = 46
"""EC2 takes 50 on an ENI, and four are ours (spec 6.10)."""


class RandomizeSnat(enum.Enum):
    """How the source port of SNAT is chosen (spec 2, 5.3)."""

    PRNG = "prng"
    HASHRANDOM = "hashrandom"
    NONE = "none"


class NetworkPolicyMode(enum.Enum):
    """What the network policy agent is asked to enforce for a new pod (spec 2); unset: it is not called at all."""

    NONE = "none"
    STANDARD = "standard"
    STRICT = "strict"


class LogLevel(enum.Enum):
    """Log levels of the original, as it spells them in its lines."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"


class WarmMode(enum.Enum):
    """Who sets the warm targets (WARM_TARGET_MODE): the settings, or the node's own load within them."""

    FIXED = "fixed"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class BadSetting:
    """A value that could not be used."""

    name: str
    value: str
    problem: str
    used: str

    def __str__(self) -> str:
        return f"{self.name}={self.value!r} {self.problem}; using {self.used}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks for. Durations in seconds, sizes in bytes."""

    warm: WarmTargets = field(default_factory=WarmTargets)
    warm_mode: WarmMode = WarmMode.FIXED
    """Whether the warm targets are kept or are limits of what the node's own load asks for (not the original's)."""
    wait_probability: float = 0.01
    """How many pods may find no address ready, with the adaptive mode (not the original's)."""
    max_enis: int | None = None
    max_pods: int | None = None
    """Pods that kubelet may run, host-network pods included, where no API server tells (VPC_CNI_MAX_PODS, not the original's)."""
    cooldown: float = 30.0
    surplus_lasts: float = SURPLUS_LASTS
    """How long something must have been too much before it is given back (VPC_CNI_SURPLUS_PERIOD, not the original's)."""
    external_snat: bool = False
    randomize_snat: RandomizeSnat = RandomizeSnat.PRNG
    exclude_snat_cidrs: tuple[IPv4Network, ...] = ()
    external_service_cidrs: tuple[IPv4Network, ...] = ()
    node_port_support: bool = True
    connmark: int = 0x80
    rules: RulesLayout = RulesLayout.COMPATIBLE
    """How the pods' rules are laid out on the host (VPC_CNI_RULES, which the original does not have)."""
    veth_prefix: str = "eni"
    eni_mtu: int = 9001
    pod_mtu: int = 9001
    bandwidth_plugin: bool = False
    disable_pod_v6: bool = False
    prefix_delegation: bool = False
    custom_networking: bool = False
    eni_config_annotation: str = ENI_CONFIG_KEY
    eni_config_label: str = ENI_CONFIG_KEY
    subnet_discovery: bool = True
    manage_unschedulable: bool = False
    """Whether ENIs and addresses come and go on a cordoned node too."""
    provisioning: bool = True
    """False: nothing is asked of EC2 that changes anything (DISABLE_NETWORK_RESOURCE_PROVISIONING)."""
    imds_only: bool = False
    """True: nothing is asked of EC2 at all (ENABLE_IMDS_ONLY_MODE)."""
    manage_untagged_enis: bool = True
    leaked_eni_cleanup: bool = True
    annotate_pod_ip: bool = False
    multi_nic: bool = False
    """Whether network cards beside the default one are managed."""
    pod_eni: bool = False
    """Security groups for pods: branch ENIs behind a trunk ENI."""
    enforcing: Enforcing = Enforcing.STRICT
    ipv6: bool = False
    """The pods are of IPv6 (ENABLE_IPv6): from one /80 of the primary ENI, and of IPv4 by their node alone."""
    v4_egress: bool = True
    """IPv6 pods reach IPv4 by a second interface and their node's address."""
    v6_egress: bool = False
    """IPv4 pods reach IPv6 likewise."""
    egress_log_file: str = "/var/log/aws-routed-eni/egress-v6-plugin.log"
    """Of the egress plugin, for the family that the pods are not of."""
    network_policy_mode: NetworkPolicyMode | None = None
    disable_metrics: bool = False
    disable_introspection: bool = False
    introspection_address: str = "127.0.0.1:61679"
    """host:port or unix:<path>."""
    client_version: str = ""
    """The version that the original's plugin must say it is of; empty: any (VPC_CNI_VERSION)."""
    cluster_name: str = ""
    cluster_endpoint: str | None = None
    additional_eni_tags: tuple[tuple[str, str], ...] = ()
    ec2_endpoint: str | None = None
    imds_endpoint: str | None = None
    http_timeout: float = 10.0
    log_level: LogLevel = LogLevel.DEBUG
    log_file: str = "/host/var/log/aws-routed-eni/ipamd.log"
    plugin_log_file: str = "/var/log/aws-routed-eni/plugin.log"
    plugin_log_level: str = "Debug"
    host_bin_dir: Path = Path("/host/opt/cni/bin")
    host_conf_dir: Path = Path("/host/etc/cni/net.d")
    checkpoint: Path = Path("/var/run/aws-node/ipam.json")
    node_name: str = ""
    pod_name: str = ""

    @property
    def run_dir(self) -> Path:
        """Where the sockets, the checkpoint and the noted deletions are (spec 1.7)."""
        return self.checkpoint.parent


class _Reader:
    """Reads one variable at a time and keeps what was bad."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.bad: list[BadSetting] = []

    def read(self, name: str, default: T, parse: Callable[[str], T], shown: str | None = None) -> T:
        """The parsed value; the default if it is unset or `parse` raises ValueError with the problem."""
        text = self.environ.get(name)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.bad.append(
                BadSetting(name, text, str(error), shown if shown is not None else _shown(default))
            )
            return default

    def flag(self, name: str, *, default: bool) -> bool:
        return self.read(name, default, boolean)

    def text(self, name: str, default: str) -> str:
        return self.environ.get(name) or default

    def cidrs(self, name: str) -> tuple[IPv4Network, ...]:
        """A comma-separated list; bad items are reported and skipped, the others kept (spec 9.1)."""
        kept: list[IPv4Network] = []
        for item in (part.strip() for part in self.environ.get(name, "").split(",")):
            if not item:
                continue
            try:
                kept.append(cidr(item))
            except ValueError as error:
                self.bad.append(BadSetting(name, item, str(error), "the list without it"))
        return tuple(kept)


def parse_settings(environ: Mapping[str, str]) -> tuple[Settings, tuple[BadSetting, ...]]:
    """The settings that the environment gives, and every value that could not be used."""
    r = _Reader(environ)
    plain = Settings()
    ipv6 = r.flag("ENABLE_IPv6", default=plain.ipv6)
    mtu = mtu_from(MTU_MIN_IPV6 if ipv6 else MTU_MIN)
    eni_mtu = r.read("AWS_VPC_ENI_MTU", plain.eni_mtu, mtu)
    egress = "V4" if ipv6 else "V6"
    imds_only = r.flag("ENABLE_IMDS_ONLY_MODE", default=plain.imds_only)
    prefix_delegation = r.flag("ENABLE_PREFIX_DELEGATION", default=plain.prefix_delegation)
    settings = Settings(
        warm=_warm_targets(r, prefixes=prefix_delegation and not ipv6),
        warm_mode=r.read("WARM_TARGET_MODE", plain.warm_mode, one_of(WarmMode)),
        wait_probability=r.read("WARM_WAIT_PROBABILITY", plain.wait_probability, probability),
        max_enis=r.read("MAX_ENI", None, at_least(1), "the instance type's limit"),
        max_pods=r.read("VPC_CNI_MAX_PODS", None, at_least(1), "what the type's addresses allow"),
        cooldown=float(r.read("IP_COOLDOWN_PERIOD", 30, at_least(0))),
        surplus_lasts=float(r.read("VPC_CNI_SURPLUS_PERIOD", int(plain.surplus_lasts), at_least(0))),
        external_snat=r.flag("AWS_VPC_K8S_CNI_EXTERNALSNAT", default=plain.external_snat),
        randomize_snat=r.read("AWS_VPC_K8S_CNI_RANDOMIZESNAT", plain.randomize_snat, one_of(RandomizeSnat)),
        exclude_snat_cidrs=r.cidrs("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"),
        external_service_cidrs=r.cidrs("AWS_EXTERNAL_SERVICE_CIDRS"),
        node_port_support=r.flag("AWS_VPC_CNI_NODE_PORT_SUPPORT", default=plain.node_port_support),
        connmark=r.read("AWS_VPC_K8S_CNI_CONNMARK", plain.connmark, mark, hex(plain.connmark)),
        rules=_unless(
            ipv6, r, "VPC_CNI_RULES", r.read("VPC_CNI_RULES", plain.rules, one_of(RulesLayout)), plain.rules
        ),
        veth_prefix=r.read("AWS_VPC_K8S_CNI_VETHPREFIX", plain.veth_prefix, veth_prefix),
        eni_mtu=eni_mtu,
        pod_mtu=r.read("POD_MTU", eni_mtu, mtu),
        bandwidth_plugin=r.flag("ENABLE_BANDWIDTH_PLUGIN", default=plain.bandwidth_plugin),
        disable_pod_v6=_unless(
            ipv6, r, "DISABLE_POD_V6", r.flag("DISABLE_POD_V6", default=plain.disable_pod_v6), False
        ),
        prefix_delegation=prefix_delegation,
        custom_networking=r.flag("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", default=plain.custom_networking),
        eni_config_annotation=r.text("ENI_CONFIG_ANNOTATION_DEF", ENI_CONFIG_KEY),
        eni_config_label=r.text("ENI_CONFIG_LABEL_DEF", ENI_CONFIG_KEY),
        subnet_discovery=r.flag("ENABLE_SUBNET_DISCOVERY", default=plain.subnet_discovery),
        manage_unschedulable=r.flag("AWS_MANAGE_ENIS_NON_SCHEDULABLE", default=plain.manage_unschedulable),
        provisioning=not (imds_only or r.flag("DISABLE_NETWORK_RESOURCE_PROVISIONING", default=False)),
        imds_only=imds_only,
        manage_untagged_enis=r.flag("MANAGE_UNTAGGED_ENI", default=plain.manage_untagged_enis),
        leaked_eni_cleanup=not (r.flag("DISABLE_LEAKED_ENI_CLEANUP", default=False) or ipv6),
        annotate_pod_ip=r.flag("ANNOTATE_POD_IP", default=plain.annotate_pod_ip),
        multi_nic=_unless(
            ipv6, r, "ENABLE_MULTI_NIC", r.flag("ENABLE_MULTI_NIC", default=plain.multi_nic), False
        ),
        pod_eni=_unless(ipv6, r, "ENABLE_POD_ENI", r.flag("ENABLE_POD_ENI", default=plain.pod_eni), False),
        ipv6=ipv6,
        v4_egress=r.flag("ENABLE_V4_EGRESS", default=plain.v4_egress),
        v6_egress=_unless(
            ipv6, r, "ENABLE_V6_EGRESS", r.flag("ENABLE_V6_EGRESS", default=plain.v6_egress), False
        ),
        egress_log_file=r.text(
            f"AWS_VPC_K8S_EGRESS_{egress}_PLUGIN_LOG_FILE",
            f"/var/log/aws-routed-eni/egress-{egress.lower()}-plugin.log",
        ),
        enforcing=r.read("POD_SECURITY_GROUP_ENFORCING_MODE", plain.enforcing, one_of(Enforcing)),
        network_policy_mode=r.read(
            "NETWORK_POLICY_ENFORCING_MODE", None, one_of(NetworkPolicyMode), "no calls of its agent"
        ),
        disable_metrics=r.flag("DISABLE_METRICS", default=plain.disable_metrics),
        disable_introspection=r.flag("DISABLE_INTROSPECTION", default=plain.disable_introspection),
        introspection_address=r.read(
            "INTROSPECTION_BIND_ADDRESS", plain.introspection_address, listening_address
        ),
        client_version=r.text("VPC_CNI_VERSION", ""),
        cluster_name=r.text("CLUSTER_NAME", ""),
        cluster_endpoint=r.text("CLUSTER_ENDPOINT", "") or None,
        additional_eni_tags=_tags(r),
        ec2_endpoint=r.text("AWS_EC2_ENDPOINT", "") or None,
        imds_endpoint=r.text("AWS_EC2_METADATA_SERVICE_ENDPOINT", "") or None,
        http_timeout=float(r.read("HTTP_TIMEOUT", 10, at_least(10))),
        log_level=r.read("AWS_VPC_K8S_CNI_LOGLEVEL", plain.log_level, one_of(LogLevel)),
        log_file=r.text("AWS_VPC_K8S_CNI_LOG_FILE", plain.log_file),
        plugin_log_file=r.read("AWS_VPC_K8S_PLUGIN_LOG_FILE", plain.plugin_log_file, plugin_log),
        plugin_log_level=r.text("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", plain.plugin_log_level),
        host_bin_dir=Path(r.text("HOST_CNI_BIN_PATH", str(plain.host_bin_dir))),
        host_conf_dir=Path(r.text("HOST_CNI_CONFDIR_PATH", str(plain.host_conf_dir))),
        checkpoint=Path(r.text("AWS_VPC_K8S_CNI_BACKING_STORE", str(plain.checkpoint))),
        node_name=r.text("MY_NODE_NAME", ""),
        pod_name=r.text("MY_POD_NAME", ""),
    )
    return settings, tuple(r.bad)


def impossible(environ: Mapping[str, str]) -> str | None:
    """Why no node can be like this, and what to set; the original's daemon ends on these, too (spec 6.6).

    To go on with something else would give pods addresses of a family that their cluster does not have.
    """

    def says(name: str) -> bool | None:
        word = environ.get(name)
        return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None

    ipv4, ipv6 = says("ENABLE_IPv4"), says("ENABLE_IPv6")
    if ipv4 and ipv6:
        return "ENABLE_IPv4 and ENABLE_IPv6 are both true: pods are of one family; set the other to false"
    if ipv4 is False and not ipv6:
        return "ENABLE_IPv4 is false and ENABLE_IPv6 is not true: pods would have no address; set one to true"
    if not ipv6:
        return None
    if not says("ENABLE_PREFIX_DELEGATION"):
        return (
            "ENABLE_IPv6 needs ENABLE_PREFIX_DELEGATION=true: IPv6 pods are given addresses of a prefix only"
        )
    if says("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"):
        return (
            "ENABLE_IPv6 and AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG do not go together: set the latter to false"
        )
    return None


def _unless(ipv6: bool, r: _Reader, name: str, value: T, other: T) -> T:
    """What IPv6 clusters do not have here (README, limits): said, and the `other` used."""
    if not ipv6 or value == other:
        return value
    r.bad.append(BadSetting(name, r.environ[name], "is not for IPv6 clusters", _shown(other)))
    return other


def _warm_targets(r: _Reader, *, prefixes: bool) -> WarmTargets:
    warm = WarmTargets(
        warm_eni=r.read("WARM_ENI_TARGET", 1, at_least(0)),
        warm_ip=r.read("WARM_IP_TARGET", 0, at_least(0)),
        minimum_ip=r.read("MINIMUM_IP_TARGET", 0, at_least(0)),
        warm_prefix=r.read("WARM_PREFIX_TARGET", 0, at_least(0)),
    )
    if prefixes and not (warm.by_ip or warm.warm_prefix):
        # the original's container exits (spec 1.3); its chart sets 1
        if "WARM_PREFIX_TARGET" in r.environ:
            given = r.environ["WARM_PREFIX_TARGET"]
            r.bad.append(BadSetting("WARM_PREFIX_TARGET", given, "leaves prefix mode without a target", "1"))
        warm = replace(warm, warm_prefix=1)
    return warm


def _shown(value: object) -> str:
    return (
        str(value.value)
        if isinstance(value, enum.Enum)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


def _tags(r: _Reader) -> tuple[tuple[str, str], ...]:
    """Those that EC2 would take and that are not the cluster's own; the others are reported, one by one (spec 2)."""
    name = "ADDITIONAL_ENI_TAGS"
    none: dict[str, str] = {}
    kept: list[tuple[str, str]] = []
    for key, value in sorted(r.read(name, none, texts, "none").items()):
        if problem := tag_problem(key, value):
            r.bad.append(BadSetting(name, key, problem, "the tags without it"))
        else:
            kept.append((key, value))
    for key, _ in kept[MOST_TAGS:]:
        r.bad.append(BadSetting(name, key, f"is one of more than {MOST_TAGS}", "the tags without it"))
    return tuple(kept[:MOST_TAGS])
