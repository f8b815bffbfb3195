"""Instance metadata in memory, for tests of whatever uses `ImdsPort`: documents by path, made from a node's facts.

imds = FakeImds(node_documents(facts, enis))
imds.documents["/latest/meta-data/mac"] = "…"
imds.silent = True  # from now on nobody answers
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from vpccni.aws.imds import ADVICE_SILENT, MACS, META, ImdsError, NodeFacts
from vpccni.ipam.values import Address, AttachedEni, BlockKind


class FakeImds:
    """Meets `ImdsPort`. `documents` may be changed at any time; `asked` is what was asked for, in order."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self.documents = dict(documents)
        self.asked: list[str] = []
        self.silent = False

    def get(self, path: str) -> str | None:
        """The document at a path; None if there is none. Raises ImdsError while silent."""
        self.asked.append(path)
        if self.silent:
            raise ImdsError(path, None, "does not answer (the test says so)", ADVICE_SILENT)
        return self.documents.get(path)

    def forget_keys(self, mac: str) -> None:
        """As after a detach: the MAC stays listed, nothing else is known of it (aws-emulation 4.5)."""
        for path in [path for path in self.documents if path.startswith(f"{MACS}{mac}/")]:
            del self.documents[path]


def node_documents(facts: NodeFacts, enis: Iterable[AttachedEni]) -> dict[str, str]:
    """What metadata says on a node with these ENIs."""
    attached = tuple(enis)
    documents = {
        "/latest/dynamic/instance-identity/document": json.dumps({"region": facts.region}),
        f"{META}instance-id": facts.instance_id,
        f"{META}instance-type": facts.instance_type,
        f"{META}local-ipv4": str(facts.primary_ip),
        f"{META}mac": facts.primary_mac,
        f"{META}placement/availability-zone": facts.zone,
        MACS: "\n".join(f"{entry.eni.mac}/" for entry in attached),
    }
    for entry in attached:
        documents |= eni_documents(facts, entry)
    return documents


def eni_documents(facts: NodeFacts, entry: AttachedEni) -> dict[str, str]:
    """What metadata says of one ENI, its listing included; the list of MACs is not."""
    eni = entry.eni
    addresses: list[Address] = [eni.primary_address]
    addresses += [b.network.network_address for b in entry.blocks if b.kind is BlockKind.SECONDARY_IP]
    prefixes = [str(b) for b in entry.blocks if b.kind is BlockKind.PREFIX]
    keys = {
        "device-number": str(eni.device_index),
        "interface-id": eni.id,
        "local-ipv4s": "\n".join(map(str, addresses)),
        "network-card": str(eni.network_card),
        "security-group-ids": "\n".join(facts.security_groups),
        "subnet-id": eni.subnet_id,
        "subnet-ipv4-cidr-block": str(eni.subnet_cidr),
        "vpc-id": facts.vpc_id,
        "vpc-ipv4-cidr-blocks": "\n".join(map(str, facts.vpc_cidrs)),
    }
    if prefixes:  # not there without any
        keys["ipv4-prefix"] = "\n".join(prefixes)
    card = f"{MACS}{eni.mac}/"
    return {card: "\n".join(sorted(keys)), **{card + key: value for key, value in keys.items()}}
