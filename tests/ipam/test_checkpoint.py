from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.ipam.checkpoint import (
    Checkpoint,
    CheckpointError,
    Given,
    JournalEntry,
    NewerCheckpointError,
    TakenBack,
    apply_journal,
    decode_checkpoint,
    encode_checkpoint,
    encode_entry,
)
from vpccni.ipam.values import Assignment, Cooling, EniId, Pod, SandboxKey

ORIGINALS = b"""{"version":"vpc-cni-ipam/1","allocations":[
 {"networkName":"aws-cni","containerID":"c1","ifName":"eth0","ipv4":"10.0.0.5","allocationTimestamp":1700000000123456789,
  "metadata":{"k8sPodNamespace":"default","k8sPodName":"p","interfacesCount":1}},
 {"networkName":"aws-cni","containerID":"c2","ifName":"eth0","ipv4":"10.0.0.6","metadata":{}, "someday": [1]},
 {"networkName":"aws-cni","containerID":"c3","ifName":"eth0","ipv6":"2001:db8::5","allocationTimestamp":1}],
 "other": {}}
"""

ADDRESSES = st.integers(0x0A000001, 0x0A000006).map(IPv4Address) | st.integers(1, 3).map(
    lambda n: IPv6Address(f"2001:db8::{n}")
)
TIMES = st.floats(0.0, 4e9)
KEYS = st.builds(
    SandboxKey, st.just("aws-cni"), st.sampled_from(["a", "b", "c", "\N{SNOWMAN}"]), st.just("eth0")
)
PODS = st.builds(Pod, st.sampled_from(["", "default"]), st.sampled_from(["", "p", 'q"\n']))
ASSIGNMENTS = st.builds(Assignment, KEYS, PODS, ADDRESSES, st.sampled_from(["", "eni-1"]).map(EniId), TIMES)
COOLINGS = st.builds(Cooling, ADDRESSES, TIMES)
CHECKPOINTS = st.builds(
    Checkpoint,
    st.lists(ASSIGNMENTS, max_size=5, unique_by=(lambda a: a.key, lambda a: a.address)).map(tuple),
    st.lists(COOLINGS, max_size=3, unique_by=lambda c: c.address).map(tuple),
)
ENTRIES = st.builds(Given, ASSIGNMENTS) | st.builds(TakenBack, KEYS, COOLINGS)


def test_the_originals_file_is_read() -> None:
    first, second, third = decode_checkpoint(ORIGINALS).allocations
    assert first == Assignment(
        SandboxKey("aws-cni", "c1", "eth0"), Pod("default", "p"), IPv4Address("10.0.0.5"), EniId(""),
        1700000000.123456789,
    )  # fmt: skip
    assert (second.pod, second.address, second.assigned_at) == (Pod("", ""), IPv4Address("10.0.0.6"), 0.0)
    assert third.address == IPv6Address("2001:db8::5")


def test_the_file_is_what_the_original_reads() -> None:
    one = Assignment(
        SandboxKey("aws-cni", "c1", "eth0"), Pod("default", "p"), IPv4Address("10.0.0.5"), EniId("eni-1"), 1.5
    )
    content = encode_checkpoint(Checkpoint((one,), (Cooling(IPv4Address("10.0.0.9"), 2.25),)))
    assert content.endswith(b"}\n")
    assert content.count(b"\n") == 1
    assert json.loads(content) == {
        "version": "vpc-cni-ipam/1",
        "allocations": [
            {
                "networkName": "aws-cni",
                "containerID": "c1",
                "ifName": "eth0",
                "ipv4": "10.0.0.5",
                "allocationTimestamp": 1_500_000_000,
                "metadata": {"k8sPodNamespace": "default", "k8sPodName": "p", "interfacesCount": 1},
            }
        ],
        "enis": {"10.0.0.5": "eni-1"},
        "cooling": [{"ipv4": "10.0.0.9", "until": 2_250_000_000}],
    }
    assert json.loads(encode_checkpoint(Checkpoint())) == {"version": "vpc-cni-ipam/1", "allocations": []}


@given(CHECKPOINTS)
def test_what_is_written_is_read(checkpoint: Checkpoint) -> None:
    back = decode_checkpoint(encode_checkpoint(checkpoint))
    assert [(a.key, a.pod, a.address, a.eni) for a in back.allocations] == [
        (a.key, a.pod, a.address, a.eni) for a in checkpoint.allocations
    ]
    pairs = [
        *zip(
            [a.assigned_at for a in back.allocations],
            [a.assigned_at for a in checkpoint.allocations],
            strict=True,
        ),
        *zip([c.until for c in back.cooling], [c.until for c in checkpoint.cooling], strict=True),
    ]
    assert all(abs(read - written) <= 1e-9 for read, written in pairs)
    assert decode_checkpoint(encode_checkpoint(back)) == back


@given(st.floats(1.6e9, 4e9))
def test_a_time_of_today_comes_back_as_the_very_same_number(at: float) -> None:
    content = encode_checkpoint(Checkpoint((), (Cooling(IPv4Address("10.0.0.9"), at),)))
    assert decode_checkpoint(content).cooling[0].until == at


@pytest.mark.parametrize("version", ["vpc-cni-ipam/2", "vpc-cni-ipam/10"])
def test_a_newer_file_is_not_guessed_at(version: str) -> None:
    with pytest.raises(NewerCheckpointError, match=f"'{version}', this agent reads 'vpc-cni-ipam/1'"):
        decode_checkpoint(json.dumps({"version": version, "allocations": "in another way"}).encode())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read"),
        (ORIGINALS[:100], "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "object was expected"),
        (b"[" * 100_000, "cannot be read"),
        (b"{}", "its version is None"),
        (b'{"version":"vpc-cni-ipam/0"}', "remove the file"),
        (b'{"version":"other/2"}', "remove the file"),
        (b'{"version":"vpc-cni-ipam/1","allocations":7}', "TypeError"),
        (b'{"version":"vpc-cni-ipam/1","allocations":["x"]}', "object was expected"),
        (b'{"version":"vpc-cni-ipam/1","allocations":[{"ipv4":"10.0.0.1"}]}', "networkName"),
        (ORIGINALS.replace(b'"10.0.0.5"', b'"10.0.0.555"'), "10.0.0.555"),
        (ORIGINALS.replace(b'"10.0.0.5"', b"5"), "text was expected"),
        (ORIGINALS.replace(b'"c1"', b"[1]"), "text was expected"),
        (ORIGINALS.replace(b"1700000000123456789", b'"soon"'), "time was expected"),
        (ORIGINALS.replace(b"1700000000123456789", b"1e999"), "time was expected"),
        (ORIGINALS.replace(b"1700000000123456789", b"9" * 400), "Overflow"),
        (b'{"version":"vpc-cni-ipam/1","cooling":[{"ipv4":"10.0.0.1"}]}', "until"),
    ],
)  # fmt: skip
def test_a_file_that_we_do_not_write_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        decode_checkpoint(content)


# --- the journal --------------------------------------------------------------------------------------------------


def given_to(container: str, address: str, at: float = 1.0) -> Given:
    key = SandboxKey("aws-cni", container, "eth0")
    return Given(Assignment(key, Pod("default", container), IPv4Address(address), EniId("eni-1"), at))


def taken(container: str, address: str, until: float = 31.0) -> TakenBack:
    return TakenBack(SandboxKey("aws-cni", container, "eth0"), Cooling(IPv4Address(address), until))


def lines(*entries: JournalEntry) -> bytes:
    return b"".join(encode_entry(entry) for entry in entries)


def story(checkpoint: Checkpoint) -> tuple[dict[str, str], list[str]]:
    return (
        {a.key.container_id: str(a.address) for a in checkpoint.allocations},
        [str(c.address) for c in checkpoint.cooling],
    )


def test_the_journal_is_applied_in_order() -> None:
    one, two = "10.0.0.1", "10.0.0.2"
    journal = lines(
        given_to("a", one), given_to("b", two), taken("a", one), given_to("c", one), taken("b", two)
    )
    result = apply_journal(Checkpoint(), journal)
    assert story(result) == ({"c": one}, [two])
    assert result.allocations[0] == given_to("c", one).assignment


def test_the_last_word_on_a_sandbox_or_an_address_wins() -> None:
    one, two = "10.0.0.1", "10.0.0.2"
    assert story(apply_journal(Checkpoint(), lines(given_to("a", one), given_to("a", two)))) == (
        {"a": two},
        [],
    )
    assert story(apply_journal(Checkpoint(), lines(given_to("a", one), given_to("b", one)))) == (
        {"b": one},
        [],
    )
    late = lines(given_to("b", one), taken("a", one))
    assert story(apply_journal(Checkpoint(), late)) == ({"b": one}, [])


@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=30),
    begun=st.integers(0, 30),
    file_is_newer=st.booleans(),
)
def test_a_journal_may_be_applied_to_a_file_that_holds_it_already(
    steps: list[tuple[int, int]], begun: int, *, file_is_newer: bool
) -> None:
    has: dict[int, int] = {}
    entries: list[JournalEntry] = []
    states = [Checkpoint()]
    for who, last in steps:
        if who in has:
            entries.append(taken(f"c{who}", f"10.0.0.{has.pop(who)}", until=float(len(entries))))
        elif last not in has.values():
            has[who] = last
            entries.append(given_to(f"c{who}", f"10.0.0.{last}"))
        else:
            continue
        states.append(apply_journal(states[-1], encode_entry(entries[-1])))
    begun = min(begun, len(entries))
    # killed between writing the file and emptying the journal: the file is newer than the journal's beginning
    file = decode_checkpoint(encode_checkpoint(states[-1 if file_is_newer else begun]))
    again = apply_journal(file, lines(*entries[begun:]))
    assert {a.key: a.address for a in again.allocations} == {a.key: a.address for a in states[-1].allocations}
    assert {c.address: c.until for c in again.cooling} == {c.address: c.until for c in states[-1].cooling}
    assert story(states[-1])[0] == {f"c{who}": f"10.0.0.{last}" for who, last in has.items()}


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
def test_a_torn_last_line_is_dropped_wherever_it_is_torn(
    entries: list[JournalEntry], data: st.DataObject
) -> None:
    whole, last = lines(*entries[:-1]), encode_entry(entries[-1])
    torn = data.draw(st.integers(0, len(last) - 1))
    assert apply_journal(Checkpoint(), whole + last[:torn]) == apply_journal(Checkpoint(), whole)


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"7", b"{}", b'"give"', b'{"give":7}', b'{"take":{},"cool":{}}', b"\x00\x00", b'{"give":{"ipv4":"x"}}'],
)  # fmt: skip
def test_any_other_broken_line_is_an_error_with_its_number(line: bytes) -> None:
    good = encode_entry(given_to("a", "10.0.0.1"))
    with pytest.raises(CheckpointError, match="line 2 of the journal"):
        apply_journal(Checkpoint(), good + line + b"\n" + good)
