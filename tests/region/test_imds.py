from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from tests.region.conftest import AT_ONCE

from vpclab.region import Region, Study, Wanted, imds_document, launch_node, study_region
from vpclab.region.imds import zone_id

MACS = "meta-data/network/interfaces/macs/"


def node(delays: object = AT_ONCE) -> tuple[Region, Study, str]:
    assert isinstance(delays, type(AT_ONCE))
    region, study = study_region(Region(delays=delays))
    return region, study, launch_node(region, study, 0).id


def read(region: Region, instance: str, path: str, now: float = 0.0) -> str | None:
    return imds_document(region, instance, path, now, role="node-role")


def test_every_path_that_the_original_reads() -> None:
    region, study, instance = node()
    eni = region.primary_eni(instance)
    expected = {
        "meta-data/placement/availability-zone": "ap-northeast-2a",
        "meta-data/placement/region": "ap-northeast-2",
        "meta-data/local-ipv4": str(eni.primary),
        "meta-data/public-ipv4": str(eni.public_ip),
        "meta-data/instance-id": instance,
        "meta-data/instance-type": "t3.medium",
        "meta-data/mac": eni.mac,
        MACS: f"{eni.mac}/",
        f"{MACS}{eni.mac}/interface-id": eni.id,
        f"{MACS}{eni.mac}/device-number": "0",
        f"{MACS}{eni.mac}/network-card": "0",
        f"{MACS}{eni.mac}/subnet-id": study.public[0].id,
        f"{MACS}{eni.mac}/vpc-id": study.vpc.id,
        f"{MACS}{eni.mac}/security-group-ids": study.node_group,
        f"{MACS}{eni.mac}/local-ipv4s": str(eni.primary),
        f"{MACS}{eni.mac}/subnet-ipv4-cidr-block": "192.168.1.0/24",
        f"{MACS}{eni.mac}/vpc-ipv4-cidr-blocks": "192.168.0.0/16",
        f"{MACS}{eni.mac}/public-ipv4s": str(eni.public_ip),
        f"{MACS}{eni.mac}/ipv4-associations/{eni.public_ip}": str(eni.primary),
        "meta-data/iam/security-credentials/": "node-role",
        "meta-data/ami-id": "ami-0123456789abcdef0",
        "meta-data/ami-launch-index": "0",
        "meta-data/block-device-mapping/root": "/dev/xvda",
        "meta-data/events/maintenance/scheduled": "[]",
        "meta-data/instance-action": "none",
        "meta-data/placement/availability-zone-id": "apne2-az1",
        "meta-data/public-hostname": f"ec2-{str(eni.public_ip).replace('.', '-')}.ap-northeast-2.compute.amazonaws.com",
        "meta-data/services/partition": "aws",
        "meta-data/system": "nitro",
    }
    assert {path: read(region, instance, path) for path in expected} == expected


@pytest.mark.parametrize(
    "path",
    [
        "meta-data/ipv6",
        "meta-data/nothing",
        "meta-data/mac/below",
        "meta-data/mac/",
        "user-data",
        MACS + "02:00:00:00:00:00/",
        "meta-data/spot/instance-action",
    ],
)
def test_what_is_not_there_is_404(path: str) -> None:
    region, _, instance = node()
    assert read(region, instance, path) is None


def test_optional_lists_appear_with_their_content() -> None:
    region, _, instance = node()
    eni = region.primary_eni(instance)
    assert read(region, instance, f"{MACS}{eni.mac}/ipv4-prefix") is None
    assert "ipv4-prefix" not in (read(region, instance, f"{MACS}{eni.mac}/") or "").split()
    claimed = region.assign_private_ip_addresses(eni.id, Wanted(prefix_count=2))
    assert read(region, instance, f"{MACS}{eni.mac}/ipv4-prefix") == "\n".join(map(str, claimed.prefixes))
    region.associate_vpc_cidr(eni.vpc_id, IPv4Network("100.64.0.0/16"))
    assert read(region, instance, f"{MACS}{eni.mac}/vpc-ipv4-cidr-blocks") == "192.168.0.0/16\n100.64.0.0/16"


def test_directories_list_themselves_with_or_without_a_slash() -> None:
    region, _, instance = node()
    for path in ("meta-data", "meta-data/"):
        listing = (read(region, instance, path) or "").split("\n")
        assert {"mac", "network/", "placement/", "iam/", "instance-id"} <= set(listing)
    assert read(region, instance, "meta-data/network") == "interfaces/"
    assert read(region, instance, "") == "dynamic\nmeta-data"
    assert read(region, instance, "meta-data/iam/") == "info\nsecurity-credentials/"
    assert read(region, instance, "dynamic/instance-identity/") == "document"


def test_credentials_are_good_for_hours_and_renewed() -> None:
    region, _, instance = node()
    path = "meta-data/iam/security-credentials/node-role"
    early, late = (json.loads(read(region, instance, path, now) or "") for now in (7200.0, 7200.0 + 3600))
    assert (early["Code"], early["Type"], early["Expiration"]) == (
        "Success",
        "AWS-HMAC",
        "1970-01-01T08:00:00Z",
    )
    assert early["AccessKeyId"] != late["AccessKeyId"]
    assert imds_document(region, instance, path, 0.0) is None


def test_the_identity_document_names_the_region() -> None:
    region, _, instance = node()
    text = read(region, instance, "dynamic/instance-identity/document") or ""
    assert '\n  "region" : "ap-northeast-2",\n' in text
    document = json.loads(text)
    assert (document["region"], document["instanceId"], document["accountId"]) == (
        "ap-northeast-2",
        instance,
        "111122223333",
    )


def test_only_attached_devices_are_seen() -> None:
    region, study, instance = node(replace(AT_ONCE, attach=(2, 2), detach=(2, 2)))
    eni = region.create_network_interface(study.public[0].id)
    attachment = region.attach_network_interface(eni.id, instance, 1)
    assert eni.mac not in (read(region, instance, MACS) or "")
    region.advance(2)
    assert eni.mac in (read(region, instance, MACS, 2) or "")
    region.detach_network_interface(attachment.id)
    assert eni.mac not in (read(region, instance, MACS, 2) or "")


def test_imds_lags_and_keeps_the_order_of_things() -> None:
    region, _, instance = node(replace(AT_ONCE, imds=(1, 5)))
    region.advance(100)
    eni = region.primary_eni(instance)
    path = f"{MACS}{eni.mac}/local-ipv4s"
    for _ in range(3):
        region.assign_private_ip_addresses(eni.id, Wanted(count=1))
    assert read(region, instance, path, 100.9) == str(eni.primary)
    seen = [len((read(region, instance, path, 100 + n / 10) or "").split()) for n in range(60)]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (1, 4)


def test_a_lost_mac_lingers_as_a_ghost() -> None:
    region, study, instance = node(replace(AT_ONCE, imds_mac_linger=(300, 300)))
    eni = region.create_network_interface(study.public[0].id)
    attachment = region.attach_network_interface(eni.id, instance, 1)
    region.advance(10)
    region.detach_network_interface(attachment.id)
    assert f"{eni.mac}/" in (read(region, instance, MACS, 309) or "").split("\n")
    assert read(region, instance, f"{MACS}{eni.mac}/interface-id", 309) is None
    assert read(region, instance, f"{MACS}{eni.mac}/", 309) is None
    assert eni.mac not in (read(region, instance, MACS, 310) or "")


def test_a_terminated_instance_has_nothing() -> None:
    region, _, instance = node()
    region.terminate_instance(instance)
    assert read(region, instance, "meta-data/instance-id") is None
    assert read(region, "i-unknown", "meta-data/instance-id") is None


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("ap-northeast-2a", "apne2-az1"),
        ("us-east-1b", "use1-az2"),
        ("eu-central-1c", "euc1-az3"),
        ("ap-southeast-1a", "apse1-az1"),
    ],
)
def test_zone_ids(zone: str, expected: str) -> None:
    assert zone_id(zone) == expected
