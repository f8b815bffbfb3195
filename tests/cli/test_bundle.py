"""What a bundle leaves out, what its first page says, and that the other commands read it."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.test_explain import HELD, NOTES
from tests.cli.test_status import BLOCKER, status

from vpccni.cli.bundle.analysis import Gathered, first_page
from vpccni.cli.bundle.archive import Bundle
from vpccni.cli.bundle.found import Found
from vpccni.cli.bundle.make import make
from vpccni.cli.bundle.redact import Redactor, names_in
from vpccni.cli.errors import CliError
from vpccni.cli.main import main

AT = "2026-01-02T12:10:00Z"
ROW = {"pod": "shop/cart", "address": "10.0.0.6", "eni": "eni-1", "veth": "eni12", "table": 254, "drift": []}
DRIFTED = {**ROW, "drift": ["no route leads to it by a pod's veth"]}
SUBNET = {
    "subnet": "subnet-1", "cidr": "10.0.0.0/26", "available": 0, "free": 0, "freeBlocks": 0, "scattered": 0,
    "largestFree": None, "prefixes": 0, "blocks": "####", "advice": ["it is full: add a subnet"],
}  # fmt: skip
CART = {**HELD, "namespace": "shop", "name": "cart", "address": "10.0.0.6"}


def gathered(**changes: Any) -> Found:
    found = Found()
    found.plains = {
        "agent/v2/status.json": status(),
        "agent/v2/pods.json": [HELD, CART],
        "agent/v2/decisions.json": NOTES,
        "pods.json": [ROW],
        "doctor.json": {"findings": []},
        "subnets/subnet-1.json": SUBNET,
        **changes,
    }
    found.texts = {"logs/ipamd.log": '{"level": "error", "msg": "no luck"}\n' * 3 + "not JSON\n"}
    return found


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("key AKIAIOSFODNN7EXAMPLE.", "key REDACTED."),
        ("arn:aws:iam::123456789012:role/node", "arn:aws:iam::ACCOUNT:role/node"),
        ("?X-Amz-Signature=abc123&Action=X", "?X-Amz-Signature=REDACTED&Action=X"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer REDACTED"),
        ("AWS_SECRET_ACCESS_KEY=abc/def", "AWS_SECRET_ACCESS_KEY=REDACTED"),
        ('{"password": "hunter2", "a": 1}', '{"password": "REDACTED", "a": 1}'),
        ("eyJhbGciOi.eyJpc3M.sig-1 was sent", "REDACTED was sent"),
        ("0123456789abcdef" * 4, "0123456789ab"),
        ("eni-0123456789abcdef0 in subnet-1", "eni-0123456789abcdef0 in subnet-1"),
        ("at 1764417600123456", "at 1764417600123456"),
    ],
)
def test_what_does_not_leave_the_node(text: str, left: str) -> None:
    assert Redactor().text(text) == left


@given(st.text(), st.text(alphabet="abcxyz-", min_size=3))
def test_a_hidden_name_is_nowhere_and_the_text_stays_json(text: str, name: str) -> None:
    redacted = Redactor(salt="s", names=[name]).plain({"a": f"{text} pod {name} is", "b": [name]})
    assert f" {name} " not in json.loads(redacted)["a"]
    assert json.loads(redacted)["b"] == [Redactor(salt="s", names=[name]).text(name)] != [name]


def test_names_of_the_systems_own_pods_are_kept() -> None:
    pods = [CART, {"namespace": "kube-system", "name": "coredns-1"}]
    assert names_in(pods, NOTES) == {"shop", "cart", "web", "other"}


def test_a_node_in_order_says_so() -> None:
    calm = {**status(), "budget": []}
    page = first_page(Gathered(AT, "v1", status=calm, pods=[ROW], doctor={"findings": []}))
    assert page.startswith(f"# i-1, {AT}\n\nvpc-cni v1. Nothing wrong was found.\n")


def test_what_is_wrong_stands_first_with_what_to_do() -> None:
    finding = {"check": "mtu", "severity": "risky", "found": "eth1 has 1500", "why": "Slow", "fix": "set it"}
    page = first_page(
        Gathered(
            AT, "v1", status=status(blocker=BLOCKER), decisions=NOTES, pods=[DRIFTED],
            doctor={"findings": [finding, {**finding, "severity": "note", "found": "nothing"}]}, subnets=[SUBNET],
            logs={"ipamd.log": '{"level": "error", "msg": "no luck"}\n' * 3}, missing={"host/nft.txt": "no nft"},
        )
    )  # fmt: skip
    assert "vpc-cni v1. 5 things to look at." in page
    for line in (
        "1. In the way of addresses: SubnetFull: subnet-1 has none\n   - do: add a subnet",
        "2. Pod shop/cart (10.0.0.6): no route leads to it by a pod's veth",
        "3. mtu (risky): eth1 has 1500. Slow\n   - do: set it",
        "4. subnet-1 (10.0.0.0/26) has no free address.\n   - do: it is full: add a subnet",
        "5. Few AttachNetworkInterface calls are left (1 of 50",
        "- pod default/web: SubnetFull: subnet-1 has none (4 times)",
        "- ipamd.log, error, 3 times: no luck",
        "- host/nft.txt: no nft",
    ):
        assert line in page, page


def test_an_agent_that_is_silent_is_the_first_thing() -> None:
    assert "1. The agent does not answer" in first_page(Gathered(AT, "v1"))


def test_every_command_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    made = make(gathered(), at=AT, version="v1")
    made.write(file, 0)
    assert Bundle.read(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as archive:
        assert archive.getnames()[0] == "vpc-cni-bundle/ANALYSIS.md"

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, [*arguments, "--from", str(file)])
        return done.exit_code, done.output

    code, text = run("status", "-o", "json")
    assert (code, json.loads(text)) == (0, status())
    code, text = run("pods")
    assert (code, "shop/cart" in text) == (0, True)
    code, text = run("explain", "other")
    assert (code, "SubnetFull" in text) == (1, True)
    code, text = run("explain", "subnet-1")
    assert (code, "####" in text) == (1, True)
    code, text = run("explain", "subnet-2")
    assert (code, "the bundle has no subnets/subnet-2.json" in text) == (2, True)


def test_hidden_names_are_the_same_pseudonym_everywhere() -> None:
    made = make(gathered(), at=AT, version="v1", salt="s")
    assert not any("cart" in text or "shop" in text for text in made.texts.values())
    [row] = made.plain("pods.json")
    assert row["pod"] in {f"{p['namespace']}/{p['name']}" for p in made.plain("agent/v2/pods.json")}


def test_what_could_not_be_had_is_told_when_it_is_asked_for(tmp_path: Path) -> None:
    found = Found()

    def silent() -> None:
        raise CliError("nobody there")

    assert found.take("agent/v2/status.json", silent) is None
    file = tmp_path / "b.tar.gz"
    make(found, at=AT, version="v1").write(file, 0)
    done = CliRunner().invoke(main, ["status", "--from", str(file)])
    assert done.exit_code == 2
    assert "the bundle has no agent/v2/status.json: nobody there" in done.output


@pytest.mark.parametrize("content", [b"plain text", b"\x1f\x8b damaged"])
def test_another_file_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(content)
    done = CliRunner().invoke(main, ["explain", "--from", str(file)])
    assert done.exit_code == 2
    assert "bundle" in done.output


def test_a_bundle_of_another_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    Bundle({"about.json": '{"format": 99}'}).write(file, 0)
    with pytest.raises(CliError, match="format 99, not 1"):
        Bundle.read(file)
