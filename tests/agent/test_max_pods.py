from vpccni.agent.max_pods import max_pods
from vpccni.ipam.limits import known_limits
from vpccni.ipam.values import BlockKind
from vpccni.kube.port import NodeView

IP, PREFIX = BlockKind.SECONDARY_IP, BlockKind.PREFIX


def test_kubelets_word_goes_before_the_types() -> None:
    limits = known_limits("m5.large")  # 3 ENIs of 10 addresses
    assert max_pods(NodeView(max_pods=58), limits, IP, custom_networking=True) == 58
    assert max_pods(NodeView(), limits, IP, custom_networking=False) == 29
    assert max_pods(None, limits, IP, custom_networking=True) == (3 - 1) * (10 - 1) + 2
    assert max_pods(None, limits, PREFIX, custom_networking=True) == 110
    assert max_pods(None, None, IP, custom_networking=False) == 110
