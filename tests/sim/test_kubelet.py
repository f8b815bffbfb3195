from __future__ import annotations

from collections.abc import Callable

from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Pod, SandboxKey
from vpclab.sim.events import Events
from vpclab.sim.kubelet import BACK_OFF, Kubelet, Waits


class Network:
    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.added: list[str] = []
        self.deleted: list[str] = []

    def add(self, key: SandboxKey, pod: Pod, answer: Callable[[object], None]) -> None:
        self.added.append(key.container_id)
        self.refusals -= 1
        answer(Refusal(Reason.POOL_REFILLING) if self.refusals >= 0 else "an address")

    def delete(self, key: SandboxKey) -> None:
        self.deleted.append(key.container_id)


def kubelet(network: Network) -> tuple[Events, Kubelet, Waits, list[int]]:
    events, waits, changes = Events(0.0, lambda _: None), Waits(), list[int]()
    return (
        events,
        Kubelet(events, network, waits, seed=1, changed=lambda change, _: changes.append(change)),
        waits,
        changes,
    )


def test_a_sandbox_that_failed_is_deleted_and_another_is_tried_after_a_while() -> None:
    network = Network(refusals=2)
    events, node, waits, changes = kubelet(network)
    node.run(Pod("default", "p"))
    events.run_until(BACK_OFF - 1)
    assert network.added == network.deleted == ["p-1"]
    events.run_until(100.0)
    assert network.added == ["p-1", "p-2", "p-3"]
    assert network.deleted == ["p-1", "p-2"]
    assert waits.failed_adds == 2
    assert waits.waited == 1
    assert 2 * BACK_OFF <= waits.seconds[0] <= 3 * BACK_OFF
    assert changes == [1]


def test_a_pod_that_goes_gives_its_address_back_once() -> None:
    network = Network(refusals=0)
    _, node, waits, changes = kubelet(network)
    node.run(Pod("default", "p")).end()
    assert network.deleted == ["p-1"]
    assert changes == [1, -1]
    assert waits.quantile(0.99) == 0.0


def test_a_pod_that_is_gone_is_not_tried_again() -> None:
    network = Network(refusals=5)
    events, node, waits, changes = kubelet(network)
    node.run(Pod("default", "p")).end()
    events.run_until(100.0)
    assert network.added == ["p-1"]
    assert (waits.never, changes) == (1, [])
