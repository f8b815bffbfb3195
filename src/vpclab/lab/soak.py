"""Churn on a running lab, with faults, agents killed and changes behind their backs; at the end nothing may be leaked.

The story is the seed's: which step follows which, and how long each pause is. What the lab makes of it also depends on the machine.
"""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from vpccni.ipam.limits import known_limits
from vpclab.lab.client import ask
from vpclab.lab.evidence import gather, settle
from vpclab.lab.judge import Finding
from vpclab.lab.state import LabError, LabState

FAULTS = (
    "latency=0.2-1",
    "latency:AssignPrivateIpAddresses=2-4",
    "error:*=InternalError,rate=0.2",
    "error:AttachNetworkInterface=InternalError,count=3",
    "error:AssignPrivateIpAddresses=InsufficientFreeAddressesInSubnet,count=2",
    "error:CreateNetworkInterface=RequestLimitExceeded,rate=0.5",
    "throttle=on",
    "bucket:AssignPrivateIpAddresses=2/0.2",
    "imds=5-20",
    "imds-mac=30",
    "unknown=1-3",
    "stale=2-8",
    "attach=5-12",
    "detach=5-12",
)
MOST_FAULTS = 3
FILLED = 0.8
"""The part of a node's addresses that is used at most, with those of pods on their way and those that cool, so that what
fails does so for another reason."""
DELETING_TAKES = 5.0
"""Seconds that may pass between the order to delete a pod and the time from which its address cools."""
TELL_EVERY = 30.0
PING_SECONDS = 5.0


@dataclass(slots=True)
class _Told:
    """What has happened so far."""

    steps: Counter[str] = field(default_factory=Counter)
    added: int = 0
    deleted: int = 0
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Node:
    """What a node can take."""

    room: int
    """Pods, with addresses that cool."""
    cools: float
    """Seconds after the order to delete a pod."""


def _node(machine: dict[str, Any]) -> _Node:
    limits = known_limits(machine["type"])
    if limits is None:
        raise LabError(
            f"nobody knows how many addresses {machine['name']} can have, of type {machine['type']}"
        )
    addresses = limits.max_enis * limits.slots_per_eni
    cooldown = float(machine["agent"]["env"].get("IP_COOLDOWN_PERIOD", 30))
    return _Node(int(FILLED * addresses), cooldown + DELETING_TAKES)


class Soak:
    """One soak of one lab."""

    def __init__(
        self, state: LabState, seed: int, say: Callable[[str], None], without: Collection[str] = ()
    ) -> None:
        self._without = without
        self._state = state
        self._say = say
        self._draw = random.Random(seed)  # noqa: S311 -- a story that repeats, not a secret
        self._threads = ThreadPoolExecutor(16, "soak")
        self._under_way: list[Future[None]] = []
        self._told = _Told()
        self._made = 0
        self._adding: list[tuple[Future[None], str, int]] = []
        self._cooling: list[tuple[float, str]] = []
        self._detached: set[str] = set()
        self._nodes: dict[str, _Node] = {}

    def run(self, seconds: float, settle_seconds: float) -> bool:
        """Churn for so long, then let all come to rest, for so long at most; whether everything agreed then.

        Raises:
            LabError: the lab went away.
        """
        self._nodes = {m["name"]: _node(m) for m in self._ask("status")["machines"] if "agent" in m}
        began = told_at = time.monotonic()
        try:
            while (now := time.monotonic()) < began + seconds:
                self._step()
                if now >= told_at + TELL_EVERY:
                    told_at = now
                    self._tell(now - began)
                time.sleep(self._draw.uniform(0.05, 0.8))
            self._tell(time.monotonic() - began)
            return self._rest(settle_seconds)
        finally:
            self._threads.shutdown(wait=True, cancel_futures=True)

    # --- churn ----------------------------------------------------------------------------------------------

    def _step(self) -> None:
        steps: tuple[tuple[Callable[[], None], int], ...] = (
            (self._add, 30),
            (self._delete, 25),
            (self._kill_agent, 4),
            (self._restart_agent, 4),
            (self._fault, 8),
            (self._clear, 6),
            (self._behind, 5),
        )
        [step] = self._draw.choices([one for one, _ in steps], [weight for _, weight in steps])
        name = step.__name__.strip("_")
        if name in self._without:
            return
        self._told.steps[name] += 1
        step()
        self._under_way = [one for one in self._under_way if not _over(one)]

    def _add(self) -> None:
        node = self._draw.choice(list(self._nodes))
        count = min(self._draw.randint(1, 8), self._room(node))
        names = [f"soak-{self._made + number}" for number in range(count)]
        self._made += max(0, count)
        if names:
            self._adding.append((self._aside(lambda: self._add_now(names, node)), node, count))

    def _room(self, node: str) -> int:
        now = time.monotonic()
        self._adding = [one for one in self._adding if not one[0].done()]
        self._cooling = [one for one in self._cooling if one[0] > now]
        running = sum(bool(pod["node"] == node) for pod in self._ask("pods"))
        coming = sum(count for _, where, count in self._adding if where == node)
        return self._nodes[node].room - running - coming - sum(where == node for _, where in self._cooling)

    def _add_now(self, names: list[str], node: str) -> None:
        done = self._ask("pods-add", names=names, namespace="default", node=node, parallel=len(names))
        self._told.added += done["done"]
        self._told.failures.update(f"ADD: {_short(problem)}" for problem in done["failed"].values())

    def _delete(self) -> None:
        pods = self._ask("pods")
        chosen = self._draw.sample(pods, min(len(pods), self._draw.randint(1, 8)))
        if chosen:
            now = time.monotonic()
            self._cooling += ((now + self._nodes[pod["node"]].cools, pod["node"]) for pod in chosen)
            self._aside(lambda: self._delete_now([f"{p['namespace']}/{p['name']}" for p in chosen]))

    def _delete_now(self, names: list[str]) -> None:
        done = self._ask("pods-del", names=names, parallel=len(names))
        self._told.deleted += done["done"]
        # two deletions of one pod may meet: the second has nothing to do
        meeting = ("there is no pod", "being deleted already")
        self._told.failures.update(
            f"DEL: {_short(problem)}"
            for problem in done["failed"].values()
            if not any(words in problem for words in meeting)
        )

    def _kill_agent(self) -> None:
        node, pause = self._draw.choice(list(self._nodes)), self._draw.uniform(0, 2)

        def kill() -> None:
            self._ask("agent-kill", node=node, signal=int(signal.SIGKILL), start=False)
            time.sleep(pause)  # it is down for so long
            self._ask("agent-start", node=node)

        self._aside(kill)

    def _restart_agent(self) -> None:
        node = self._draw.choice(list(self._nodes))
        self._aside(lambda: self._ask("agent-kill", node=node, signal=int(signal.SIGTERM), start=True))

    def _fault(self) -> None:
        if len(self._ask("fault-list")) < MOST_FAULTS:
            self._ask("fault-add", faults=[self._draw.choice(FAULTS)])

    def _clear(self) -> None:
        on = [one["id"] for one in self._ask("fault-list")]
        if on:
            self._ask("fault-clear", ids=[self._draw.choice(on)])

    def _behind(self) -> None:
        node = self._draw.choice(list(self._nodes))
        what = self._draw.choice(("unassign", "unassign", "assign", "detach", "delete"))
        try:
            done = self._ask("behind", node=node, what=what, eni=None, addresses=[], count=1)["done"]
        except LabError:
            return  # there is nothing of that kind on the node now
        if what == "detach":
            self._detached.add(done.split()[0])

    # --- the end --------------------------------------------------------------------------------------------

    def _rest(self, seconds: float) -> bool:
        self._ask("fault-clear", ids=None)
        for one in self._under_way:
            one.result()
        for node in self._nodes:
            self._ask("agent-start", node=node)
        self._put_away()
        if not self._agreed("with the pods that are left", seconds, self._bury_victims):
            return False
        done = self._ask("ping", every=True, wait=PING_SECONDS)
        self._say(f"{done['answered']} of {done['asked']} pings between {done['pods']} pods were answered")
        names = [f"{p['namespace']}/{p['name']}" for p in self._ask("pods")]
        gone = self._ask("pods-del", names=names, parallel=max(1, len(names)))
        for name, problem in gone["failed"].items():
            self._say(f"{name} could not be deleted: {problem}")
        at_rest = self._agreed("with no pods", seconds, lambda: None)
        for reason, count in self._told.failures.most_common():
            self._say(f"{count} times {reason}")
        return at_rest and not done["unanswered"] and not gone["failed"]

    def _put_away(self) -> None:
        """Whoever detached ENIs deletes them, unless the agent was first."""
        for eni in self._detached:
            self._ask("delete-available", eni=eni)

    def _bury_victims(self) -> None:
        """Pods whose ENI was taken away can only be made anew."""
        evidence = gather(self._state)
        for node in evidence.nodes:
            held = [eni for eni in evidence.enis if eni.instance_id == node.instance_id]
            for pod in node.pods:
                if not any(eni.holds(pod.address) for eni in held):
                    self._told.steps["victims"] += 1
                    self._ask("pod-del", name=pod.name)

    def _agreed(self, when: str, seconds: float, before: Callable[[], None]) -> bool:
        began = time.monotonic()
        found: list[Finding] = []
        while True:
            before()
            self._put_away()
            found = settle(self._state, min(seconds, 10.0))
            if not found or time.monotonic() >= began + seconds:
                break
        took = time.monotonic() - began
        if found:
            self._say(f"{when}, after {took:.0f} s, EC2, kernels and checkpoints do not agree:")
            for finding in found:
                self._say(f"  {finding.where}: {finding.what}")
        else:
            self._say(f"{when}: EC2, kernels and checkpoints agree, after {took:.1f} s")
        return not found

    def _aside(self, what: Callable[[], None]) -> Future[None]:
        future = self._threads.submit(what)
        self._under_way.append(future)
        return future

    def _ask(self, op: str, **parameters: Any) -> Any:
        return ask(self._state.control, op, **parameters)

    def _tell(self, seconds: float) -> None:
        steps = ", ".join(f"{n} {name}" for name, n in sorted(self._told.steps.items()))
        self._say(
            f"{seconds:5.0f} s: {self._told.added} pods added, {self._told.deleted} deleted, "
            f"{self._told.failures.total()} failures; steps: {steps}"
        )


def _over(future: Future[None]) -> bool:
    """Whether it is over; what went wrong in it is raised here."""
    if not future.done():
        return False
    future.result()
    return True


def _short(problem: str) -> str:
    """The agent's word for it, such as EniLimit; the whole text if there is none."""
    typed = re.search(r": ([A-Z][A-Za-z0-9]+): ", problem)
    return typed[1] if typed else problem
