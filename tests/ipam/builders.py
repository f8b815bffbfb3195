"""ENIs, blocks and sandboxes for tests."""

from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.values import Block, Eni, EniId, Pod, SandboxKey, SubnetId

SUBNET = IPv4Network("10.0.0.0/16")


def eni(number: int) -> Eni:
    return Eni(
        EniId(f"eni-{number}"), f"02:00:00:00:00:{number:02x}", number, SubnetId("subnet-1"), SUBNET,
        IPv4Address(f"10.0.{200 + number}.1"), is_primary=number == 0,
    )  # fmt: skip


def ip(text: str) -> Block:
    return Block(IPv4Network(f"{text}/32"))


def prefix(text: str) -> Block:
    return Block(IPv4Network(f"{text}/28"))


def key(name: str) -> SandboxKey:
    return SandboxKey("aws-cni", name, "eth0")


def pod(name: str) -> Pod:
    return Pod("default", name)
