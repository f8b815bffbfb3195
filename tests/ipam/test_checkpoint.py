import json
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ipam.builders import key, pod
from vpccni.ipam.checkpoint import (
    Checkpoint,
    CheckpointError,
    Given,
    TakenBack,
    apply_journal,
    decode_checkpoint,
    encode_checkpoint,
    encode_entry,
)
from vpccni.ipam.values import Assignment, Cooling, EniId


def assignment(name: str, address: str, at: float = 1.0) -> Assignment:
    return Assignment(key(name), pod(name), IPv4Address(address), EniId(""), at)


def test_the_file_is_the_originals() -> None:
    content = encode_checkpoint(Checkpoint((assignment("a", "10.0.0.5", 1.5),)))
    assert json.loads(content) == {
        "version": "vpc-cni-ipam/1",
        "allocations": [
            {
                "networkName": "aws-cni",
                "containerID": "a",
                "ifName": "eth0",
                "ipv4": "10.0.0.5",
                "allocationTimestamp": 1_500_000_000,
                "metadata": {"k8sPodNamespace": "default", "k8sPodName": "a", "interfacesCount": 1},
            }
        ],
    }
    assert content.endswith(b"\n")


def test_a_file_of_the_originals_is_read_with_keys_we_do_not_know_and_without_those_it_omits() -> None:
    content = (
        b'{"version":"vpc-cni-ipam/1","future":1,"allocations":[{"networkName":"aws-cni","containerID":"a","ifName":"eth0",'
        b'"ipv4":"10.0.0.5","x":2},{"networkName":"aws-cni","containerID":"b","ifName":"eth0","ipv6":"::1"}]}'
    )
    [found] = decode_checkpoint(content).allocations
    assert (found.key, str(found.address)) == (key("a"), "10.0.0.5")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not whole JSON"),
        (b'{"version":"vpc-cni-ipam/1","alloc', "not whole JSON"),
        (b'{"version":"vpc-cni-ipam/2","allocations":[]}', "version 'vpc-cni-ipam/2'"),
        (b"[]", "version None"),
        (b'{"version":"vpc-cni-ipam/1","allocations":[{"ipv4":"10.0.0.5"}]}', "cannot be read"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        decode_checkpoint(content)


def test_a_torn_last_line_is_dropped_and_any_other_broken_line_is_named() -> None:
    whole = encode_entry(Given(assignment("a", "10.0.0.5")))
    torn = whole + encode_entry(Given(assignment("b", "10.0.0.6")))[:20]
    assert [a.key for a in apply_journal(Checkpoint(), torn).allocations] == [key("a")]
    with pytest.raises(CheckpointError, match="line 2 of the journal"):
        apply_journal(Checkpoint(), whole + b"nonsense\n" + whole)


names = st.sampled_from("abcd")
addresses = st.integers(0, 3).map(lambda n: f"10.0.0.{n}")
entries = st.one_of(
    st.builds(lambda n, a: Given(assignment(n, a)), names, addresses),
    st.builds(lambda n, a: TakenBack(key(n), Cooling(IPv4Address(a), 9.0)), names, addresses),
)


@given(st.lists(entries, max_size=20))
def test_a_journal_applied_again_changes_nothing_and_no_address_is_two_pods(
    log: list[Given | TakenBack],
) -> None:
    lines = b"".join(encode_entry(entry) for entry in log)
    once = apply_journal(Checkpoint(), lines)
    again = apply_journal(decode_checkpoint(encode_checkpoint(once)), lines)
    assert set(again.allocations) == set(once.allocations)
    assert again.cooling == once.cooling
    held = [a.address for a in once.allocations]
    assert len(held) == len(set(held))
    assert not {c.address for c in once.cooling} & set(held)


@given(st.dictionaries(names, st.integers(0, 255), max_size=4))
def test_a_checkpoint_reads_back_as_it_was_written(pods: dict[str, int]) -> None:
    taken = tuple(assignment(name, f"10.0.{i}.{n}") for i, (name, n) in enumerate(pods.items()))
    checkpoint = Checkpoint(taken, (Cooling(IPv4Address("10.9.0.1"), 12.25),))
    assert decode_checkpoint(encode_checkpoint(checkpoint)) == checkpoint
