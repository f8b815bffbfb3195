"""Whether the kernel lets pods' packets through: source checks, forwarding, its features, its table of connections."""

from __future__ import annotations

from collections.abc import Iterator

from vpccni.cli.doctor.facts import Facts, known
from vpccni.cli.doctor.finding import Finding, LoosenSourceCheck, Severity
from vpccni.cli.kernel.source_check import SourceCheck
from vpccni.cli.unknown import Unknown
from vpccni.linux.layout import RulesLayout

FULL, NEARLY_FULL = 0.95, 0.8
"""Parts of the table of connections."""


def source_checks(facts: Facts) -> Iterator[Finding]:
    """Strict on a device where the way back may be another (spec 5.6)."""
    routing, settings = known(facts.routing), facts.settings.settings
    devices = [facts.primary] if facts.primary is not None else []
    if settings.rules is RulesLayout.COMPACT and not isinstance(facts.enis, Unknown):
        macs = {eni.mac for eni in facts.enis}
        devices += [d.name for d in routing.network.devices if d.mac in macs and d.name not in devices]
    for name in devices:
        device = routing.network.named(name)
        strict = name in routing.settings and routing.settings[name].source_check is SourceCheck.STRICT
        if device is None or not strict:
            continue
        yield Finding(
            "rp-filter",
            Severity.BROKEN,
            f"the kernel checks sources strictly on {name}: the greater of net.ipv4.conf.all.rp_filter and "
            f"net.ipv4.conf.{name}.rp_filter is 1",
            "replies to pods on other ENIs come in here after SNAT, and requests to node ports leave by other ways than "
            "they came: the kernel throws such packets away without a word",
            f"sysctl -w net.ipv4.conf.{name}.rp_filter=2, and look which file below /etc/sysctl.d sets it to 1",
            (LoosenSourceCheck(device.index, name),),
        )


def forwarding(facts: Facts) -> Iterator[Finding]:
    """Off: nothing goes from or to a pod."""
    routing = known(facts.routing)
    fix = "sysctl -w net.ipv4.ip_forward=1, and a file below /etc/sysctl.d that keeps it so"
    why = "every packet of a pod is forwarded by the node: nothing reaches or leaves a pod"
    if facts.forwarding6 is False:
        said = "net.ipv6.conf.all.forwarding is 0, and pods are of IPv6"
        how = "run aws-node's init container with ENABLE_IPv6=true, which sets it; or sysctl -w net.ipv6.conf.all.forwarding=1"
        yield Finding("ip-forward", Severity.BROKEN, said, why, how)
    if not routing.forwarding:
        yield Finding("ip-forward", Severity.BROKEN, "net.ipv4.ip_forward is 0", why, fix)
        return
    name = facts.primary
    if name is not None and name in routing.settings and not routing.settings[name].forwarding:
        said = f"net.ipv4.conf.{name}.forwarding is 0 though ip_forward is 1"
        fix = f"sysctl -w net.ipv4.conf.{name}.forwarding=1"
        yield Finding("ip-forward", Severity.BROKEN, said, why, fix)


def features(facts: Facts) -> Iterator[Finding]:
    """What the kernel cannot do that the agent's rules need."""
    for feature in known(facts.features):
        if feature.present is False:
            yield Finding(
                "kernel-features",
                Severity.BROKEN,
                f"the kernel has no {feature.name} ({feature.how})",
                "rules that the agent must write for SNAT, marks or the choice of an ENI are refused",
                "use a kernel that has it, or load its module (modprobe) and see why it was not loaded by itself",
            )


def connections(facts: Facts) -> Iterator[Finding]:
    """A full table refuses new connections of everybody."""
    table = known(facts.conntrack)
    part = table.count / table.most if table.most else 0.0
    if part < NEARLY_FULL:
        return
    yield Finding(
        "conntrack",
        Severity.BROKEN if part >= FULL else Severity.RISKY,
        f"{table.count} of {table.most} connections are tracked ({part:.0%})",
        "when the table is full the kernel drops the first packet of every new connection, of pods and of the node",
        "sysctl -w net.netfilter.nf_conntrack_max=…, and look who opens so many (conntrack -S; conntrack -L)",
    )
