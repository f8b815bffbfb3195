"""Has the AWS network-policy agent enforce the policies of our plugin's pods, as the original's plugin does.

For its own pods the original's plugin asks it itself: `AddNetworkReply.NetworkPolicyMode` tells it to (spec 4.4 step 5,
4.8 step 4).
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from vpccni.agent.cni_call import INTERNAL, CniError
from vpccni.agent.settings import NetworkPolicyMode
from vpccni.ipam.values import Pod

if TYPE_CHECKING:  # loaded with the first pod, and there by then if the gRPC server is
    from vpccni.agent.rpc.npa import Asked

log = logging.getLogger(__name__)

SOCKET = "npa.sock"
DIAL = 2.0
"""Seconds in which the agent must have taken the connection; until then it is tried again (spec 4.4)."""
ANSWER = 60.0
"""Seconds for the answer. The original's plugin waits as long as the runtime lets it; ours holds the pod's turn."""
ADVICE = (
    "look at the container aws-eks-nodeagent of this node's aws-node pod and at "
    "/var/log/aws-routed-eni/network-policy-agent.log, or unset NETWORK_POLICY_ENFORCING_MODE"
)


class NetworkPolicyError(Exception):
    """The network-policy agent did not do it; the message says what was tried."""


class NetworkPolicyUnreachableError(NetworkPolicyError):
    """Nobody took the connection."""


class NetworkPolicyAgent:
    """Asked over a connection of its own for each pod, because the agent may be restarted at any time."""

    def __init__(
        self, run_dir: Path, mode: NetworkPolicyMode, *, dial: float = DIAL, answer: float = ANSWER
    ) -> None:
        """`dial` and `answer` are seconds."""
        self._path = run_dir / SOCKET
        self._mode = mode
        self._dial = dial
        self._answer = answer

    async def enforce(self, pod: Pod, interfaces: int = 1) -> None:
        """Before the pod runs. Raises CniError; what ADD did before is undone by the runtime's DEL."""
        try:
            await (await self._asked()).enforce(pod, self._mode.value, interfaces)
        except (NetworkPolicyError, ImportError) as error:
            # a pod that nobody restricts must not run: its policies were asked for
            raise CniError(
                INTERNAL, "add cmd: failed to setup network policy", f"pod {pod}: {error}; {ADVICE}"
            ) from error

    async def forget(self, pod: Pod) -> None:
        """After the pod has gone. Raises CniError if nobody is there to be told; other failures are logged."""
        try:
            await (await self._asked()).forget(pod)
        except (NetworkPolicyUnreachableError, ImportError) as error:
            raise CniError(
                INTERNAL,
                f"del cmd: failed to connect to network policy agent: {error}",
                f"pod {pod}: {ADVICE}",
            ) from error
        except NetworkPolicyError as error:
            log.error("the network-policy agent did not forget pod %s: %s", pod, error)

    async def _asked(self) -> Asked:
        def load() -> type[Asked]:
            from vpccni.agent.rpc.npa import Asked  # noqa: PLC0415 -- see above

            return Asked

        return (await asyncio.to_thread(load))(self._path, self._dial, self._answer)
