"""What the node asks the VPC resource controller for, in its CNINode: a trunk ENI, and branch ENIs in the ENIConfig's subnet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from vpccni.ipam.decide import Ipam
from vpccni.ipam.values import EniRole
from vpccni.kube.branch import NETWORKING_FEATURE, TRUNK_FEATURE
from vpccni.kube.eni_config import DEFAULT
from vpccni.kube.port import Cluster, KubeError

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between looks at whether there is something to ask for; the API server is asked only if so."""
AGAIN_AFTER = 30.0
"""Seconds until a request that failed is made again: the CNINode may not have been created yet (spec 7.2)."""


class CniNode:
    """One node's. `eni_config` tells the name of the ENIConfig in use, if custom networking has one."""

    def __init__(
        self,
        cluster: Cluster,
        node: str,
        pool: Ipam,
        eni_config: Callable[[], str | None],
        *,
        takes_trunk: bool,
    ) -> None:
        """`takes_trunk`: whether one can be attached to this instance type."""
        self._cluster = cluster
        self._node = node
        self._pool = pool
        self._eni_config = eni_config
        self._takes_trunk = takes_trunk
        self._asked: dict[str, str] = {}
        self._problem = ""

    async def run(self) -> None:
        """Ask, for ever, for what is wanted and was not asked for."""
        while True:
            pause = LOOK_EVERY if await self.look() else AGAIN_AFTER
            await asyncio.sleep(pause)

    async def look(self) -> bool:
        """One look; whether all is asked for that is wanted."""
        try:
            for feature, value in self.wanted().items():
                if self._asked.get(feature) == value:
                    continue
                if await self._cluster.ask_for_feature(self._node, feature, value):
                    log.info("asked in CNINode %s for %s %s", self._node, feature, value)
                self._asked[feature] = value
                self._problem = ""
        except KubeError as error:
            self._tell(
                f"CNINode {self._node} cannot be written: {error}. aws-node's service account needs get and patch on cninodes"
            )
            return False
        return True

    def wanted(self) -> Mapping[str, str]:
        """Features and their values, as things are now."""
        features: dict[str, str] = {}
        name = self._eni_config()
        if name and name != DEFAULT:
            features[NETWORKING_FEATURE] = name
        state = self._pool.state
        if any(view.eni.role is EniRole.TRUNK for view in state.pool.enis()):
            return features
        if not self._takes_trunk:
            self._tell("ENABLE_POD_ENI is set, and this instance type takes no trunk ENI")
        elif state.pool.eni_count + state.limits.unmanaged_enis >= state.limits.max_enis:
            self._tell("No slot available for a trunk ENI to be attached.")
        else:
            features[TRUNK_FEATURE] = ""
        return features

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            log.error("%s", problem)
        self._problem = problem
