import pytest

from vpccni.ipam.values import Pod
from vpccni.linux.names import host_veth, is_host_veth


@pytest.mark.parametrize(
    ("namespace", "name", "hashed"),
    [
        ("kube-system", "coredns-57ff979f67-qqbdh", "b5faff8a083"),
        ("kube-system", "coredns-57ff979f67-8ns9b", "9571956a6cc"),
        ("default", "sample-pod", "cc21c2d7785"),
        ("", "", "3a52ce78095"),
        ("kube-system", "web-2", "ca82d32c244"),
    ],
)
def test_names_are_the_originals(namespace: str, name: str, hashed: str) -> None:
    assert host_veth("eni", Pod(namespace, name)) == f"eni{hashed}"
    assert host_veth("vlan", Pod(namespace, name)) == f"vlan{hashed}"
    assert len(host_veth("vlan", Pod(namespace, name))) <= 15  # the kernel's limit


def test_a_pods_further_interfaces_have_names_of_their_own() -> None:
    assert host_veth("eni", Pod("", ""), 1) == "enice799470a46"


@pytest.mark.parametrize(
    "name", ["enib5faff8a0830", "eni-lo", "enib5faff8a08", "enib5faff8a08G", "eth0", "vethb5faff8a083"]
)
def test_only_the_prefix_and_eleven_digits_are_ours(name: str) -> None:
    assert not is_host_veth("eni", name)
    assert is_host_veth("eni", "enib5faff8a083")


def test_a_prefix_is_no_pattern() -> None:
    assert not is_host_veth("e.i", "enib5faff8a083")
