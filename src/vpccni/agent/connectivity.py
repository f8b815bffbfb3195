"""Whether the API server answers, where the agent must not start without it (spec 1.4 step 2)."""

from __future__ import annotations

import asyncio
import logging

from vpccni.agent.settings import Settings
from vpccni.kube.port import Cluster, KubeError

log = logging.getLogger(__name__)

POLL = 2.0
"""Seconds between tries (spec 1.4)."""


class ApiServerUnusableError(Exception):
    """It refuses us or is not there, and waiting would not help; the text says what wants it and what to look at."""


def what_wants_it(settings: Settings) -> str | None:
    """The setting for which the original does not start without an API server; None: it is followed in the background."""
    for on, name in (
        (settings.custom_networking, "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"),
        (settings.annotate_pod_ip, "ANNOTATE_POD_IP"),
    ):
        if on:
            return name
    return None


async def wait_for_api_server(settings: Settings, cluster: Cluster | None) -> None:
    """Return once it answers, or at once where nothing wants it or no cluster is configured.

    A server that is slow is waited for without limit; any other failure raises ApiServerUnusableError: kubelet starts
    the agent again, with back-off, and shows why. The original waits 30 s for a server that nothing wants; we do not.
    """
    wanted_by = what_wants_it(settings)
    if wanted_by is None or cluster is None:
        return
    first = True
    while True:
        try:
            version = await cluster.version()
        except KubeError as error:
            if not error.timed_out:
                raise ApiServerUnusableError(
                    f"{error}. {wanted_by} is on and cannot work without the API server: look at CLUSTER_ENDPOINT, at the "
                    "security groups between the node and the control plane, and at the service account of aws-node"
                ) from error
            if first:
                log.warning("%s. %s is on: the agent waits for it", error, wanted_by)
            first = False
            await asyncio.sleep(POLL)
        else:
            log.info("The API server answers: %s", version or "of an unknown version")
            return
