"""Devices: the ENIs' and the pods'."""

from __future__ import annotations

from collections.abc import Iterator

from vpccni.cli.doctor.facts import Facts, known
from vpccni.cli.doctor.finding import Finding, SetMtu, Severity
from vpccni.cli.unknown import Unknown
from vpccni.linux.names import is_host_veth


def mtus(facts: Facts) -> Iterator[Finding]:
    """Against AWS_VPC_ENI_MTU and POD_MTU."""
    network, settings = known(facts.routing).network, facts.settings.settings
    macs = {eni.mac for eni in facts.enis} if not isinstance(facts.enis, Unknown) else set()
    for device in network.devices:
        if (device.mac in macs or device.name == facts.primary) and device.mtu != settings.eni_mtu:
            yield Finding(
                "mtu",
                Severity.RISKY,
                f"{device.name} has MTU {device.mtu}, not {settings.eni_mtu} (AWS_VPC_ENI_MTU)",
                "large packets of pods are cut into pieces, or thrown away where that is forbidden",
                f"ip link set {device.name} mtu {settings.eni_mtu}, and see who sets another (DHCP's option 26, networkd)",
                (SetMtu(device.index, device.name, settings.eni_mtu),),
            )
    other = [
        device
        for device in network.devices
        if is_host_veth(settings.veth_prefix, device.name) and device.mtu != settings.pod_mtu
    ]
    if other:
        names = ", ".join(f"{device.name} ({device.mtu})" for device in other[:5])
        yield Finding(
            "pod-mtu",
            Severity.NOTE,
            f"{len(other)} pods' devices have an MTU other than {settings.pod_mtu} (POD_MTU): {names}",
            "pods keep the MTU that they were started with",
            "restart those pods when it suits",
        )


def eni_devices(facts: Facts) -> Iterator[Finding]:
    """Each ENI has a device that is up."""
    network = known(facts.routing).network
    for eni in known(facts.enis):
        device = next((each for each in network.devices if each.mac == eni.mac), None)
        if device is None:
            yield Finding(
                "eni-devices",
                Severity.RISKY,
                f"{eni.id} is attached, but no device has its MAC {eni.mac}",
                "pods with its addresses are cut off",
                "a device appears seconds after the attachment; if it stays away look at the kernel's log (dmesg), detach "
                "the ENI and let the agent attach another",
            )
        elif not (device.up and device.carrier):
            yield Finding(
                "eni-devices",
                Severity.BROKEN,
                f"{device.name} of {eni.id} is down",
                "pods with its addresses are cut off",
                f"ip link set {device.name} up, and see who set it down (NetworkManager, networkd)",
            )
