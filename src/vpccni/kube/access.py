"""Where the API server is and how the agent proves who it is: in a pod, or by a KUBECONFIG as tests and labs use it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(ValueError):
    """What was configured cannot be used; the text says which file or variable, and what to write there."""


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """An API server and credentials for it. Not shown by repr: it may hold a token or a key."""

    url: str
    """With scheme, without a path."""
    ca: str | None = None
    """The CA's certificates as PEM; None: those that the machine trusts."""
    token_file: Path | None = None
    """Read again when it is renewed."""
    token: str = ""
    """Where there is no file."""
    certificate: str = ""
    """Of the client, with its key, as PEM; empty: none."""
    namespace: str = "kube-system"
    """The namespace of the agent's own pod."""


def find_access(
    environ: Mapping[str, str], *, endpoint: str | None = None, account: Path = SERVICE_ACCOUNT
) -> Access | None:
    """KUBECONFIG's, else the pod's own; None if nothing says that there is a cluster.

    `endpoint` (CLUSTER_ENDPOINT) replaces the API server's address: it is reachable before kube-proxy is. Raises
    AccessError.
    """
    if file := environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(file), endpoint=endpoint)
    host = environ.get("KUBERNETES_SERVICE_HOST")
    if endpoint:
        url = _with_scheme(endpoint)
    elif host:
        port = environ.get("KUBERNETES_SERVICE_PORT") or "443"
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    else:
        return None
    token, ca, namespace = account / "token", account / "ca.crt", account / "namespace"
    # each may be missing: an endpoint may be plain, or have a certificate that everyone trusts
    return Access(
        url,
        ca=_text(ca) if ca.exists() else None,
        token_file=token if token.exists() else None,
        namespace=_text(namespace).strip() if namespace.exists() else "kube-system",
    )


def from_kubeconfig(file: Path, *, endpoint: str | None = None) -> Access:
    """The current context of a kubeconfig in JSON, which is YAML too: the agent carries no YAML parser for this alone.

    Raises AccessError.
    """
    try:
        config = json.loads(_text(file))
    except ValueError as error:
        raise AccessError(
            f"KUBECONFIG {file} is not JSON; write it with: kubectl config view --flatten --minify -o json"
        ) from error
    try:
        context = _named(config, "context", config.get("current-context"))
        cluster = _named(config, "cluster", context["cluster"])
        user = _named(config, "user", context["user"])
        url = _with_scheme(endpoint or cluster["server"])
    except (KeyError, TypeError, AttributeError) as error:
        raise AccessError(f"KUBECONFIG {file} has no {error} where it is wanted") from error
    for unsupported in ("exec", "auth-provider", "username"):
        if unsupported in user:
            raise AccessError(
                f"KUBECONFIG {file}: {unsupported} is not supported; use a token or a certificate"
            )
    if cluster.get("insecure-skip-tls-verify"):
        raise AccessError(f"KUBECONFIG {file}: insecure-skip-tls-verify is not supported; give the CA")
    certificate = _pem(file, user, "client-certificate")
    key = _pem(file, user, "client-key")
    if bool(certificate) != bool(key):
        raise AccessError(f"KUBECONFIG {file}: a client certificate and its key go together")
    return Access(
        url,
        ca=_pem(file, cluster, "certificate-authority"),
        token_file=_beside(file, user["tokenFile"]) if user.get("tokenFile") else None,
        token=user.get("token") or "",
        certificate=f"{certificate}\n{key}" if certificate else "",
        namespace=context.get("namespace") or "kube-system",
    )


def _with_scheme(address: str) -> str:
    return (address if "://" in address else f"https://{address}").rstrip("/")


def _named(config: Mapping[str, Any], kind: str, name: str | None) -> Mapping[str, Any]:
    """One of a kubeconfig's lists of things with names."""
    for entry in config.get(f"{kind}s") or ():
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[kind]
            return found
    raise KeyError(f"{kind} {name}")


def _pem(file: Path, holder: Mapping[str, Any], key: str) -> str | None:
    """What stands in the file itself (base64) or in another one."""
    if data := holder.get(f"{key}-data"):
        try:
            return base64.b64decode(data, validate=True).decode("ascii")
        except (binascii.Error, ValueError, TypeError) as error:
            raise AccessError(f"KUBECONFIG {file}: {key}-data is not base64 of PEM") from error
    return _text(_beside(file, holder[key])) if holder.get(key) else None


def _beside(file: Path, other: str) -> Path:
    """Paths in a kubeconfig are relative to it."""
    return file.parent / other


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise AccessError(f"{file} cannot be read: {error}") from error
