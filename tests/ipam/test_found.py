from ipaddress import IPv4Address

from tests.ipam.builders import eni, ip, key, pod
from vpccni.ipam.decide import Ipam
from vpccni.ipam.found import found_key, is_found, take_in_found
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni

FREE, TAKEN, COOLING, ELSEWHERE = (IPv4Address(f"10.0.1.{n}") for n in (1, 2, 3, 99))


def test_an_address_that_a_veth_has_is_no_other_pods() -> None:
    ipam = Ipam(NodeLimits(2, 9, 100), WarmTargets(), cooldown=30.0)
    ipam.add_attached(AttachedEni(eni(0), tuple(ip(str(a)) for a in (FREE, TAKEN, COOLING))), 0.0)
    for name, address in (("a", TAKEN), ("b", COOLING)):
        ipam.pool.restore(Assignment(key(name), pod(name), address, eni(0).id, 0.0))
    ipam.release(key("b"), 1.0)
    connected = {"eni00000000001": FREE, "eni00000000002": TAKEN, "eni00000000003": COOLING, "x": ELSEWHERE}
    (taken,) = take_in_found([ipam], connected, 2.0)
    assert (taken.key, taken.address, taken.eni) == (found_key("eni00000000001"), FREE, eni(0).id)
    assert is_found(taken.key)
    assert not is_found(key("a"))
    assert ipam.owner(TAKEN) == key("a")
    assert not ipam.can_assign(2.0)
    assert take_in_found([ipam], connected, 2.0) == (), "again, nothing is new"
