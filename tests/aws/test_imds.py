from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from tests.aws.conftest import ImdsScript

from vpccni.aws.fake_imds import FakeImds, eni_documents, node_documents
from vpccni.aws.imds import MACS, Imds, ImdsError, NodeFacts, attached_enis, eni_by_mac, node_facts, own_ipv6
from vpccni.ipam.values import AttachedEni, Block, Eni, EniId, SubnetId

FACTS = NodeFacts(
    instance_id="i-1",
    instance_type="t3.medium",
    zone="ap-northeast-2a",
    region="ap-northeast-2",
    vpc_id="vpc-1",
    primary_mac="02:00:00:00:00:01",
    primary_ip=IPv4Address("192.168.1.10"),
    vpc_cidrs=(IPv4Network("192.168.0.0/16"), IPv4Network("100.64.0.0/16")),
    security_groups=("sg-1", "sg-2"),
)
PRIMARY = AttachedEni(
    Eni(
        id=EniId("eni-1"),
        mac=FACTS.primary_mac,
        device_index=0,
        subnet_id=SubnetId("subnet-1"),
        subnet_cidr=IPv4Network("192.168.1.0/24"),
        primary_address=FACTS.primary_ip,
        is_primary=True,
    ),
    (Block(IPv4Network("192.168.1.11/32")), Block(IPv4Network("192.168.1.12/32"))),
)
SECOND = AttachedEni(
    replace(
        PRIMARY.eni,
        id=EniId("eni-2"),
        mac="02:00:00:00:00:00",  # listed before the primary's
        device_index=2,
        primary_address=IPv4Address("192.168.1.20"),
        network_card=1,
        is_primary=False,
    ),
    (Block(IPv4Network("192.168.1.21/32")), Block(IPv4Network("192.168.1.32/28"))),
)
MAC_PATH = "/latest/meta-data/mac"


def latest(documents: dict[str, str]) -> dict[str, str]:
    return {path.removeprefix("/latest/"): text for path, text in documents.items()}


@pytest.fixture
def imds(metadata: ImdsScript) -> Iterator[Imds]:
    metadata.documents = latest(node_documents(FACTS, (SECOND, PRIMARY)))
    made = Imds(metadata.url, timeout=5.0)
    yield made
    made.close()


# --- over HTTP ------------------------------------------------------------------------------------------------


def test_the_node_and_its_enis_over_one_connection_with_one_token(imds: Imds, metadata: ImdsScript) -> None:
    assert node_facts(imds) == FACTS
    assert attached_enis(imds) == (PRIMARY, SECOND)
    assert eni_by_mac(imds, SECOND.eni.mac) == SECOND
    assert eni_by_mac(imds, "02:00:00:00:00:99") is None
    assert metadata.tokens_given == 1


def test_a_token_that_ended_early_is_renewed_in_between(imds: Imds, metadata: ImdsScript) -> None:
    assert imds.get(MAC_PATH) == FACTS.primary_mac
    metadata.forget_tokens()
    assert imds.get(MAC_PATH) == FACTS.primary_mac
    assert metadata.tokens_given == 2


@pytest.mark.parametrize(
    ("life", "margin", "renewed"),
    [("21600", 21539, 1), ("21600", 21541, 2), ("100", 41, 2), (None, 21000, 1)],
)
def test_a_token_is_renewed_before_its_end(
    metadata: ImdsScript, life: str | None, margin: float, renewed: int
) -> None:
    metadata.documents = latest(node_documents(FACTS, (PRIMARY,)))
    metadata.token_life = life
    now = [0.0]
    imds = Imds(metadata.url, clock=lambda: now[0])
    imds.get(MAC_PATH)
    now[0] = margin
    imds.get(MAC_PATH)
    assert metadata.tokens_given == renewed
    assert metadata.asked[MAC_PATH] == 2  # and no 401 in between
    imds.close()


def test_a_connection_that_the_other_side_closed_is_opened_again(imds: Imds, metadata: ImdsScript) -> None:
    metadata.closing = True
    assert node_facts(imds) == FACTS
    assert attached_enis(imds) == (PRIMARY, SECOND)


def test_nothing_there_is_none(imds: Imds) -> None:
    assert imds.get("/latest/meta-data/no/such/key") is None


@pytest.mark.parametrize(("status", "word"), [(403, "enabled"), (404, "enabled"), (503, "tries again")])
def test_no_token_tells_what_to_do(imds: Imds, metadata: ImdsScript, status: int, word: str) -> None:
    metadata.token_status = status
    with pytest.raises(ImdsError, match=word) as caught:
        imds.get(MAC_PATH)
    assert (caught.value.path, caught.value.status) == ("/latest/api/token", status)


def test_a_token_that_is_never_good_is_asked_for_twice_and_no_more(
    imds: Imds, metadata: ImdsScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "tokens", type("Never", (set,), {"__contains__": lambda *_: False})())
    with pytest.raises(ImdsError, match="401") as caught:
        imds.get(MAC_PATH)
    assert (caught.value.status, metadata.tokens_given) == (401, 2)


def test_a_server_error_is_no_absence(imds: Imds, metadata: ImdsScript) -> None:
    metadata.documents["meta-data/mac"] = "503!busy"
    with pytest.raises(ImdsError, match="503 'busy'") as caught:
        attached_enis(imds)
    assert (caught.value.path, caught.value.status) == (MAC_PATH, 503)


def test_nobody_there_tells_of_the_host_network() -> None:
    imds = Imds("http://127.0.0.1:1")
    with pytest.raises(ImdsError, match="hop limit") as caught:
        imds.get(MAC_PATH)
    assert caught.value.status is None


# --- what it says ---------------------------------------------------------------------------------------------


def fake(*enis: AttachedEni) -> FakeImds:
    return FakeImds(node_documents(FACTS, enis or (SECOND, PRIMARY)))


def test_an_eni_costs_one_listing_and_the_keys_that_are_there() -> None:
    imds = fake()
    attached_enis(imds)
    of_primary = [path for path in imds.asked if path.startswith(f"{MACS}{PRIMARY.eni.mac}/")]
    of_second = [path for path in imds.asked if path.startswith(f"{MACS}{SECOND.eni.mac}/")]
    assert len(imds.asked) == 2 + len(of_primary) + len(of_second)
    assert (len(of_primary), len(of_second)) == (7, 8)  # no prefixes on the primary: not asked for


def test_a_detached_eni_that_is_still_listed_is_left_out() -> None:
    imds = fake()
    imds.forget_keys(SECOND.eni.mac)
    assert attached_enis(imds) == (PRIMARY,)
    assert eni_by_mac(imds, SECOND.eni.mac) is None


@pytest.mark.parametrize(
    "key", ["interface-id", "device-number", "subnet-id", "subnet-ipv4-cidr-block", "local-ipv4s"]
)
def test_an_eni_whose_key_vanishes_between_listing_and_reading_is_left_out(key: str) -> None:
    imds = fake()
    del imds.documents[f"{MACS}{SECOND.eni.mac}/{key}"]
    assert attached_enis(imds) == (PRIMARY,)


def test_an_eni_without_ipv4_is_left_out() -> None:
    imds = fake()
    card = f"{MACS}{SECOND.eni.mac}/"
    imds.documents[card] = imds.documents[card].replace("local-ipv4s\n", "")
    del imds.documents[f"{card}local-ipv4s"]
    assert attached_enis(imds) == (PRIMARY,)


def test_without_its_primary_eni_a_node_is_not_taken_for_complete() -> None:
    imds = fake()
    imds.forget_keys(PRIMARY.eni.mac)
    with pytest.raises(ImdsError, match="primary ENI"):
        attached_enis(imds)


def test_addresses_that_come_later() -> None:
    bare = AttachedEni(SECOND.eni)
    imds = fake(PRIMARY, bare)
    assert eni_by_mac(imds, SECOND.eni.mac) == bare
    imds.documents |= eni_documents(FACTS, SECOND)
    assert eni_by_mac(imds, SECOND.eni.mac) == SECOND


def test_the_network_card_is_the_first_where_nothing_is_said_of_it() -> None:
    imds = fake()
    card = f"{MACS}{SECOND.eni.mac}/"
    imds.documents[card] = imds.documents[card].replace("network-card\n", "")
    del imds.documents[f"{card}network-card"]
    assert attached_enis(imds)[1].eni.network_card == 0


@pytest.mark.parametrize("path", sorted(node_documents(FACTS, (PRIMARY, SECOND))))
@pytest.mark.parametrize("text", [None, "", "nonsense"])
def test_whatever_one_document_lacks_or_says_it_is_an_answer_or_an_imds_error(
    path: str, text: str | None
) -> None:
    imds = fake()
    if text is None:
        del imds.documents[path]
    else:
        imds.documents[path] = text
    with contextlib.suppress(ImdsError):
        node_facts(imds)
    with contextlib.suppress(ImdsError):
        assert {entry.eni.device_index for entry in attached_enis(imds)} <= {0, 2}


@pytest.mark.parametrize("key", ["vpc-ipv4-cidr-blocks", "security-group-ids"])
@pytest.mark.parametrize("text", [None, "\n"])
def test_a_node_without_vpc_ranges_or_groups_is_not_believed(key: str, text: str | None) -> None:
    # without ranges every packet to the VPC would be translated; without groups EC2 would take the VPC's default one
    imds = fake()
    path = f"{MACS}{PRIMARY.eni.mac}/{key}"
    if text is None:
        del imds.documents[path]
    else:
        imds.documents[path] = text
    with pytest.raises(ImdsError, match=key):
        node_facts(imds)


def test_nobody_there() -> None:
    imds = fake()
    imds.silent = True
    with pytest.raises(ImdsError, match="does not answer"):
        node_facts(imds)


@pytest.mark.parametrize(
    ("text", "address"), [("2001:db8::10\n", "2001:db8::10"), (None, None), ("nonsense", None)]
)
def test_the_nodes_own_ipv6_address(text: str | None, address: str | None) -> None:
    class Told:
        def get(self, path: str) -> str | None:
            assert path == "/latest/meta-data/ipv6"
            return text

    assert own_ipv6(Told()) == (IPv6Address(address) if address else None)
