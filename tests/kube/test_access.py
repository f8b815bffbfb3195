"""Where the API server is and who we are to it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from vpccni.kube.access import Access, AccessError, find_access, from_kubeconfig

SERVICE = {"KUBERNETES_SERVICE_HOST": "172.20.0.1", "KUBERNETES_SERVICE_PORT": "443"}
NOWHERE = Path("/nowhere")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def kubeconfig(file: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Path:
    other = {"server": "https://other"}
    config = {
        "current-context": "two",
        "contexts": [
            {"name": "one", "context": {"cluster": "a", "user": "me"}},
            {"name": "two", "context": {"cluster": "b", "user": "me", "namespace": "net"}},
        ],
        "clusters": [
            {"name": "a", "cluster": other},
            {"name": "b", "cluster": {"server": "https://api:6443", **(cluster or {})}},
        ],
        "users": [{"name": "me", "user": user or {}}],
    }
    file.write_text(json.dumps(config))
    return file


@pytest.mark.parametrize(
    ("environ", "endpoint", "url"),
    [
        ({}, None, None),
        (SERVICE, None, "https://172.20.0.1:443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1"}, None, "https://[fd00::1]:443"),
        (SERVICE, "https://api:6443/", "https://api:6443"),
        ({}, "api", "https://api"),
    ],
)
def test_whether_and_where_there_is_an_api_server(
    environ: dict[str, str], endpoint: str | None, url: str | None
) -> None:
    access = find_access(environ, endpoint=endpoint, account=NOWHERE)
    assert access == (None if url is None else Access(url))


def test_a_pods_account(tmp_path: Path) -> None:
    for name, text in (("token", "t"), ("ca.crt", "PEM"), ("namespace", "net\n")):
        (tmp_path / name).write_text(text)
    access = find_access(SERVICE, account=tmp_path)
    assert access == Access(
        "https://172.20.0.1:443", ca="PEM", token_file=tmp_path / "token", namespace="net"
    )


def test_a_ca_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(b"\xff")
    with pytest.raises(AccessError, match=r"ca\.crt cannot be read"):
        find_access(SERVICE, account=tmp_path)


def test_a_kubeconfig_goes_before_the_pods_account(tmp_path: Path) -> None:
    file = kubeconfig(
        tmp_path / "config",
        {"certificate-authority-data": b64("CA")},
        {"client-certificate-data": b64("CERT"), "client-key-data": b64("KEY"), "token": "t"},
    )
    environ = {**SERVICE, "KUBECONFIG": str(file)}
    wanted = Access("https://api:6443", ca="CA", token="t", certificate="CERT\nKEY", namespace="net")
    assert find_access(environ) == wanted
    moved = find_access(environ, endpoint="https://moved")
    assert moved is not None
    assert moved.url == "https://moved"


def test_the_files_of_a_kubeconfig_are_beside_it(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    file = kubeconfig(
        tmp_path / "config", {"certificate-authority": "ca.pem"}, {"tokenFile": str(tmp_path / "token")}
    )
    access = from_kubeconfig(file)
    assert (access.ca, access.token_file) == ("CA", tmp_path / "token")


def test_a_secret_is_not_shown() -> None:
    assert "s3cret" not in repr(Access("https://api", token="s3cret", certificate="s3cret"))


@pytest.mark.parametrize(
    ("cluster", "user", "why"),
    [
        ({}, {"exec": {"command": "aws"}}, "exec is not supported"),
        ({}, {"client-certificate-data": b64("CERT")}, "go together"),
        ({}, {"client-key-data": "?"}, "client-key-data is not base64"),
        ({"insecure-skip-tls-verify": True}, {}, "give the CA"),
        ({"certificate-authority": "gone.pem"}, {}, r"gone\.pem cannot be read"),
        ({"server": None}, {}, "has no"),
    ],
)
def test_a_kubeconfig_that_is_refused(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], why: str
) -> None:
    with pytest.raises(AccessError, match=why):
        from_kubeconfig(kubeconfig(tmp_path / "config", cluster, user))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("apiVersion: v1\n", "kubectl config view"),
        ("{}", "context None"),
        ("[]", "has no"),
        ('{"current-context": "c", "contexts": [{"name": "c", "context": {}}]}', "'cluster'"),
    ],
)
def test_what_is_no_kubeconfig(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(AccessError, match=why):
        from_kubeconfig(file)
