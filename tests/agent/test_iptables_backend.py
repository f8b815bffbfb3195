"""Which of a container's two iptables is the node's: kubelet's chain says so, else what has rules."""

from pathlib import Path

import pytest

from vpccni.agent.iptables_backend import choose_backend

KUBELETS = ":KUBE-IPTABLES-HINT - [0:0]"
CANARY = ":KUBE-KUBELET-CANARY - [0:0]"
RULE = "-A INPUT -j ACCEPT"


@pytest.mark.parametrize(
    ("nft", "legacy", "chosen"),
    [
        (KUBELETS, RULE, "nft"),
        (RULE, KUBELETS, "legacy"),
        ("", CANARY, "legacy"),
        ("", RULE, "legacy"),
        (RULE, RULE, "nft"),
        ("", "", "nft"),
        (None, None, "nft"),
    ],
)
def test_the_nodes_kind_comes_first_on_path(
    tmp_path: Path, nft: str | None, legacy: str | None, chosen: str
) -> None:
    for kind, there in (("nft", nft), ("legacy", legacy)):
        (tmp_path / kind).mkdir()
        if there is not None:
            program = tmp_path / kind / "iptables-save"
            program.write_text(f"#!/bin/sh\necho '*mangle'\necho '{there}'\n")
            program.chmod(0o755)
    environ = {"PATH": "/bin"}
    assert choose_backend(environ, tmp_path) == chosen
    assert environ["PATH"] == f"{tmp_path / chosen}:/bin"


def test_nothing_is_chosen_where_there_is_no_choice(tmp_path: Path) -> None:
    environ = {"PATH": "/bin"}
    assert choose_backend(environ, tmp_path / "none") is None
    assert environ == {"PATH": "/bin"}
