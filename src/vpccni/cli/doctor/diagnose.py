"""All checks, run over the facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vpccni.cli.doctor.checks import agent, cloud, cni_files, daemons, filters, forwarding, links, pods, rules
from vpccni.cli.doctor.facts import Facts, NotKnownError
from vpccni.cli.doctor.finding import Check, Finding, Severity

CHECKS = (
    Check("imds", "the metadata service answers", cloud.metadata),
    Check("imds-hop-limit", "pods do not reach the metadata service", cloud.hop_limit),
    Check("iam", "the node's role may do what the agent does", cloud.permissions),
    Check("agent-sockets", "the agent answers on its sockets", agent.sockets),
    Check("agent-ready", "the agent is ready", agent.readiness),
    Check("settings", "every setting can be used", agent.bad_settings),
    Check("checkpoint", "the assignments on disk can be read", agent.checkpoint),
    Check("run-dir", "the agent's directory has room and is root's", cni_files.run_directory),
    Check("conflist", "the runtime's first configuration is ours", cni_files.configurations),
    Check("plugins", "the plugins are installed", cni_files.plugins),
    Check("kernel-features", "the kernel can do what the rules need", forwarding.features),
    Check("ip-forward", "the kernel forwards", forwarding.forwarding),
    Check("rp-filter", "sources are not checked strictly", forwarding.source_checks),
    Check("conntrack", "the table of connections has room", forwarding.connections),
    Check("foreign-rules", "no stranger's rule is before ours", rules.foreign_rules),
    Check("iptables-mixed", "one kind of iptables is in use", filters.mixed_iptables),
    Check("snat-rules", "what leaves the VPC gets the node's address", filters.snat_rules),
    Check("mtu", "devices have the MTU of the settings", links.mtus),
    Check("eni-devices", "every ENI has a device that is up", links.eni_devices),
    Check("network-manager", "NetworkManager leaves our devices alone", daemons.network_manager),
    Check("systemd-networkd", "systemd-networkd leaves our rules alone", daemons.networkd),
    Check("mac-policy", "udev changes no MAC", daemons.mac_policy),
    Check("leftovers", "nothing is left of pods that are gone", pods.leftovers),
    Check("unconnected-pods", "packets reach every pod", pods.unconnected),
    Check("addresses", "every pod's address is on an ENI, once", pods.addresses),
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found."""

    findings: tuple[Finding, ...]
    passed: tuple[Check, ...]
    not_checked: tuple[tuple[Check, str], ...]
    """Checks that could not be made, and why."""

    @property
    def ill(self) -> bool:
        """Whether anything is wrong."""
        return any(finding.severity is not Severity.NOTE for finding in self.findings)


def diagnose(facts: Facts) -> Diagnosis:
    """Run every check; the worst findings first."""
    findings: list[Finding] = []
    passed: list[Check] = []
    missed: list[tuple[Check, str]] = []
    for check in CHECKS:
        try:
            found = list(check.judge(facts))
        except NotKnownError as error:
            missed.append((check, str(error)))
            continue
        findings += found
        if not found:
            passed.append(check)
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return Diagnosis(tuple(findings), tuple(passed), tuple(missed))


def to_plain(found: Diagnosis, done: tuple[str, ...]) -> dict[str, Any]:
    """For JSON."""
    return {
        "healthy": not found.ill,
        "findings": [
            {
                "check": finding.check,
                "severity": finding.severity.value,
                "found": finding.found,
                "why": finding.why,
                "fix": finding.fix,
                "fixable": bool(finding.mends),
            }
            for finding in found.findings
        ],
        "passed": [check.name for check in found.passed],
        "notChecked": {check.name: why for check, why in found.not_checked},
        "fixed": list(done),
    }


def to_text(found: Diagnosis, done: tuple[str, ...], settings: str) -> str:
    """For a person."""
    lines = [f"done: {text}" for text in done]
    for finding in found.findings:
        lines += [
            f"{finding.severity.value.upper():6} {finding.check}: {finding.found}",
            f"       why: {finding.why}",
            f"       fix: {finding.fix}" + (" (--fix does it)" if finding.mends else ""),
        ]
    lines += [f"not checked: {check.about} ({why})" for check, why in found.not_checked]
    wrong = sum(finding.severity is not Severity.NOTE for finding in found.findings)
    said = {0: "nothing is wrong", 1: "one thing is wrong"}.get(wrong, f"{wrong} things are wrong")
    lines.append(f"{len(found.passed)} of {len(CHECKS)} checks found nothing; {said}. Settings: {settings}.")
    return "\n".join(lines)
