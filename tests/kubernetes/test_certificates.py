import base64
import json
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from vpclab.kubernetes.certificates import Authority, kubeconfig, signing_key


def test_a_server_is_trusted_by_whoever_trusts_the_authority() -> None:
    authority = Authority.create("kubernetes")
    server = authority.issue("api", names=("api.example",), addresses=(IPv4Address("10.100.0.1"),))
    leaf = x509.load_pem_x509_certificate(server.certificate)
    store = Store([x509.load_pem_x509_certificate(authority.pem)])
    for subject in (x509.DNSName("api.example"), x509.IPAddress(IPv4Address("10.100.0.1"))):
        chain = PolicyBuilder().store(store).build_server_verifier(subject).verify(leaf, [])
        assert len(chain) == 2


def test_a_client_is_its_common_name_in_its_organisations_and_no_server() -> None:
    who = Authority.create("kubernetes").issue("system:node:n1", ("system:nodes", "more"))
    leaf = x509.load_pem_x509_certificate(who.certificate)
    assert [one.value for one in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        "system:node:n1"
    ]
    groups = [one.value for one in leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert groups == ["system:nodes", "more"]
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_another_authority_signs_nothing_of_this_one() -> None:
    one, other = Authority.create("kubernetes"), Authority.create("kubernetes")
    assert one.pem != other.pem
    assert one.credentials.certificate == one.pem


def test_a_kubeconfig_is_whole_in_itself() -> None:
    authority = Authority.create("kubernetes")
    who = authority.issue("admin", ("system:masters",))
    read = json.loads(kubeconfig("https://api.example", authority.pem, who, cluster="myeks", user="admin"))
    assert read["current-context"] == "admin@myeks"
    [cluster] = read["clusters"]
    assert cluster["cluster"]["server"] == "https://api.example"
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]) == authority.pem
    [user] = read["users"]
    assert base64.b64decode(user["user"]["client-key-data"]) == who.key


def test_tokens_are_signed_with_a_key_that_go_reads_both_halves_of() -> None:
    pem = signing_key()
    assert pem.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert isinstance(serialization.load_pem_private_key(pem, None), ec.EllipticCurvePrivateKey)
