"""The cluster's certificates: one authority, everybody's key and certificate, and kubeconfigs that hold them."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = dt.timedelta(days=365)
SLACK = dt.timedelta(hours=1)
"""Validity begins this long ago: a lab's clock may be set."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs for one cluster. Its key is in memory alone."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @classmethod
    def create(cls, name: str) -> Self:
        """A new one, self-signed."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name, ())
        builder = (
            _builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        """Its certificate, for whoever has to trust it."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def credentials(self) -> Credentials:
        """Its certificate and key, for the controller manager, which signs too."""
        return Credentials(self.pem, _pem(self._key))

    def issue(
        self,
        user: str,
        groups: Iterable[str] = (),
        *,
        names: Iterable[str] = (),
        addresses: Iterable[IPv4Address] = (),
    ) -> Credentials:
        """A certificate by which a client is `user` in `groups`; with names or addresses, a server's as well."""
        key = ec.generate_private_key(ec.SECP256R1())
        hosts: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        hosts += [x509.IPAddress(address) for address in addresses]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if hosts:
            usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = (
            _builder(_name(user, groups), self._certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Credentials(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def signing_key() -> bytes:
    """A private key for service accounts' tokens, in the older PEM: the API server reads its public half from it."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def kubeconfig(server: str, authority: bytes, who: Credentials, *, cluster: str, user: str) -> str:
    """A client's configuration, whole in itself; JSON, which YAML's readers read.

    Args:
        server: the API server's URL.
        authority: the certificate to trust, PEM.
        who: the client.
        cluster: its name in there.
        user: the user's, and with @ and the cluster's the context's.
    """
    context = f"{user}@{cluster}"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": cluster,
                    "cluster": {"server": server, "certificate-authority-data": _b64(authority)},
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _b64(who.certificate),
                        "client-key-data": _b64(who.key),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": cluster, "user": user}}],
            "current-context": context,
        },
        indent=2,
    )


def webhook(url: str) -> str:
    """What an API server reads to ask somebody beside it, without TLS."""
    context = {"name": "webhook", "context": {"cluster": "webhook", "user": "kube-apiserver"}}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "webhook", "cluster": {"server": url}}],
            "users": [{"name": "kube-apiserver", "user": {}}],
            "contexts": [context],
            "current-context": "webhook",
        },
        indent=2,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLACK)
        .not_valid_after(now + VALID)
    )


def _name(user: str, groups: Iterable[str]) -> x509.Name:
    """Kubernetes reads the user from the common name, groups from the organisations."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
