"""Whoever does in the lab what EKS asks for: drains nodes, rolls add-ons out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from vpclab.eks import Eks, EksDelays, Issue, Rollout, environment_of
from vpclab.eks.configuration import read_configuration
from vpclab.eks.schemas import vpc_cni_variables
from vpclab.lab.hypervisor import Hypervisor
from vpclab.lab.kinds import Changes
from vpclab.lab.state import LabError
from vpclab.node import Machine

log = logging.getLogger(__name__)
VPC_CNI = "vpc-cni"
REAL_DELAYS = EksDelays(cluster=(4.0, 8.0), nodegroup=(1.0, 2.0), addon=(1.0, 2.0), replace=(3.0, 6.0))
"""Minutes in life (a cluster takes ten, a node group two): seconds here, so that a person sees the states and goes on."""


def split_environment(env: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Variables that the add-on's configuration may name, and others, which only a lab's nodes get."""
    known = vpc_cni_variables()
    configured = {key: value for key, value in env.items() if key in known}
    return configured, {key: value for key, value in env.items() if key not in known}


class Attendant:
    """Carries EKS's wishes out, each by a task of its own. Used from the lab's loop."""

    def __init__(self, eks: Eks, hypervisor: Hypervisor, changed: Callable[[], None]) -> None:
        """`changed` wakes the lab's loop, which looks again."""
        self._eks = eks
        self._hypervisor = hypervisor
        self._changed = changed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._by_hand: dict[str, dict[str, str | None]] = {}
        eks.attend(hypervisor.is_ready)

    def look(self) -> None:
        """Begin what is asked for and not under way."""
        self._eks.look()
        for instance_id in tuple(self._eks.leaving):
            self._do(f"drain {instance_id}", lambda one=instance_id: self._drain(one))  # type: ignore[misc]
        for rollout in tuple(self._eks.rollouts.values()):
            self._do(f"roll {rollout.addon} out", lambda one=rollout: self._roll_out(one))  # type: ignore[misc]

    def changed_by_hand(self, changes: Changes, machines: Sequence[Machine]) -> None:
        """Somebody gave these nodes' agents other variables than the add-on does."""
        for machine in machines:
            held = self._by_hand.setdefault(machine.instance_id, {})
            held.update(changes)

    @property
    def by_hand(self) -> Mapping[str, Changes]:
        """What people gave to nodes' agents beside the add-on, by instance."""
        return self._by_hand

    async def resume(self, by_hand: Mapping[str, Changes]) -> None:
        """Nodes that boot from now on are configured as the add-on and people had it before the lab's process ended."""
        for cluster, name in self._eks.addons:
            if name == VPC_CNI:
                text = self._eks.addon(cluster, name).configuration
                environment = environment_of(read_configuration(name, text))
                await self._hypervisor.kind.configure(environment, ())
        self._by_hand = {one: dict(changes) for one, changes in by_hand.items()}
        self._hypervisor.kind.recall(self._by_hand)

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _do(self, what: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if what in self._tasks:
            return

        async def run() -> None:
            try:
                await work()
            except Exception:
                log.exception("could not %s", what)
            finally:
                del self._tasks[what]
                self._changed()

        self._tasks[what] = asyncio.get_running_loop().create_task(run())

    async def _drain(self, instance_id: str) -> None:
        machine = self._hypervisor.of(instance_id)
        problem = ""
        if machine is not None:
            try:
                await self._hypervisor.kind.drain(machine)
            except LabError as error:
                problem = str(error)
            except (
                Exception
            ) as error:  # whatever it is, the node goes, and the group says why its pods did not
                log.exception("could not drain %s", machine.name)
                problem = repr(error)
        self._eks.drained(instance_id, problem)

    async def _roll_out(self, rollout: Rollout) -> None:
        issue: Issue | None = None
        try:
            if rollout.addon == VPC_CNI:
                issue = await self._configure(rollout)
        except LabError as error:
            issue = Issue("InsufficientNumberOfReplicas", str(error))
        except Exception as error:
            issue = Issue("InternalFailure", repr(error))
            raise
        finally:
            self._eks.rolled_out(rollout, issue)

    async def _configure(self, rollout: Rollout) -> Issue | None:
        environment = environment_of(rollout.values)
        machines = tuple(self._hypervisor.machines.values())
        clashes = {
            machine.instance_id: clash
            for machine in machines
            if (clash := self._clash(machine.instance_id, environment))
        }
        if clashes and rollout.resolve == "NONE":
            told = "; ".join(
                f"{self._hypervisor.names[one]}: {', '.join(sorted(names))}" for one, names in clashes.items()
            )
            return Issue(
                "ConfigurationConflict",
                "Conflicts found when trying to apply. Will not continue due to resolve conflicts mode. "
                f"Changed by hand: {told}",
                tuple(clashes),
            )
        if rollout.resolve == "OVERWRITE":
            for machine in machines:
                clash = clashes.get(machine.instance_id, set())
                if clash:
                    back = {name: environment[name] for name in clash}
                    await self._hypervisor.kind.override(back, [machine])
                    self._by_hand[machine.instance_id].update(back)
        await self._hypervisor.kind.configure(environment, machines)
        return None

    def _clash(self, instance_id: str, environment: Mapping[str, str]) -> set[str]:
        by_hand = self._by_hand.get(instance_id, {})
        return {name for name in by_hand if name in environment and by_hand[name] != environment[name]}
