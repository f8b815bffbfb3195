"""A node's agent in virtual time: the daemon's own decisions, driven as vpccni.agent.loop drives them.

Decided here is nothing: Ipam, restore and reconcile are vpccni's. This keeps ADDs that wait, has actions carried out two at
a time, sets the alarm, crashes and starts again when told to, and looks every minute whether EC2 still agrees.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from vpccni.ipam.actions import Action, Failed, Outcome
from vpccni.ipam.checkpoint import Checkpoint, Given, JournalEntry, TakenBack
from vpccni.ipam.decide import Ipam
from vpccni.ipam.leaks import Maker
from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.placement import Placement
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.restore import CONNECTING_TAKES, Restored, restore
from vpccni.ipam.shrinking import SURPLUS_LASTS
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.under_way import NotUnderWayError
from vpccni.ipam.values import Assignment, AttachedEni, BlockKind, Cooling, EniId, Pod, SandboxKey
from vpccni.ipam.warmth import Warmth
from vpclab.region.region import Region
from vpclab.region.values import Instance, NetworkInterface
from vpclab.sim.client import NodeEc2
from vpclab.sim.events import Events, Running, Timer, Work
from vpclab.sim.leaked import look_for_leaked
from vpclab.sim.looking import Looker
from vpclab.sim.memory import Memory
from vpclab.sim.performing import Performer, attached_eni

PATIENCE = 20.0
"""Seconds that an ADD waits for addresses that are on their way (vpccni.agent.loop.PATIENCE)."""
THREADS = 2
"""Actions that are carried out at a time (vpccni.agent.carry_out.THREADS)."""
START_DEVICE_WAIT = 5.0
"""Seconds that a start waits for an ENI's device; later the next look adopts it (vpccni.agent.startup)."""
METADATA_RETRY = 0.2
"""Seconds until metadata that does not show the primary ENI yet is asked again."""
AGENT_AWAY = Refusal(Reason.AGENT_UNREACHABLE, "the agent is being restarted")

DEFAULT_TARGETS = WarmTargets()

Answer = Callable[[Assignment | Refusal], None]


@dataclass(frozen=True, slots=True)
class Setup:
    """What the environment says to the agent."""

    targets: WarmTargets = DEFAULT_TARGETS
    kind: BlockKind = BlockKind.SECONDARY_IP
    cooldown: float = 30.0
    max_enis: int | None = None
    max_pods: int | None = None
    """None: what the type's addresses allow."""
    subnet_discovery: bool = True
    surplus_lasts: float = SURPLUS_LASTS
    warmth: Callable[[], Warmth] | None = None
    """Makes what sets the targets, if they are not fixed."""
    looks_for_leaked: bool = True
    """Whether it looks once an hour for ENIs that others left behind."""

    def limits(self, of_type: InstanceLimits) -> NodeLimits:
        """What the node can hold."""
        most = min(of_type.max_enis, self.max_enis or of_type.max_enis)
        return NodeLimits(most, of_type.slots_per_eni, self.max_pods or of_type.max_pods(self.kind))


@dataclass(slots=True, eq=False)
class Waiting:
    """An ADD that found the pool empty."""

    key: SandboxKey
    pod: Pod
    deadline: float
    answer: Answer
    timer: Timer | None = None


class SimNode:
    """One node. Its pods come and go by `add` and `delete`, whoever they are."""

    def __init__(
        self, events: Events, region: Region, instance: Instance, ec2: NodeEc2, setup: Setup, *, seed: int = 0
    ) -> None:
        self.events = events
        self.region = region
        self.instance = instance
        self.ec2 = ec2
        self.setup = setup
        self.up = False
        self.surprises: list[str] = []
        """What EC2 did that the pool could not follow."""
        self.failed: Counter[tuple[str, Reason]] = Counter()
        """Actions that came to nothing."""
        self.told_to_wait: Callable[[Pod, Refusal], None] = lambda _, __: None
        """Told of each ADD that found the pool empty, and why."""
        self.restored: Restored | None = None
        self.live: dict[SandboxKey, Assignment] = {}
        """Sandboxes that are connected: what the kernel knows of them, whatever the agent remembers."""
        self._seed = seed
        self._memory = Memory()
        self._noted_deletions: list[SandboxKey] = []
        self._primary = region.primary_eni(instance.id)
        self._performer = Performer(region, instance, ec2, self._primary.groups)
        self.ipam = self._fresh_ipam()
        self._looker = Looker(self, self._performer)
        self._starting: Running | None = None
        self._early: list[tuple[SandboxKey, Pod, Answer]] = []
        self._leak_look: Running | None = None
        self.start()

    # --- the runtime's calls --------------------------------------------------------------------------------

    def add(self, key: SandboxKey, pod: Pod, answer: Answer) -> None:
        """Give the sandbox an address, now or within `PATIENCE`; `answer` is told, maybe at once."""
        if self._starting is not None:
            self._early.append((key, pod, answer))  # the socket is there before the agent is ready
            return
        if not self.up:
            answer(AGENT_AWAY)
            return
        given = self.ipam.assign(key, pod, self.events.now)
        if isinstance(given, Assignment):
            self._give(given, answer)
            self.kick()
            return
        self.told_to_wait(pod, given)
        waiting = Waiting(key, pod, self.events.now + PATIENCE, answer)
        self._waiting.append(waiting)
        self.kick()  # this want counts: it may be what makes the pool ask EC2
        if self._give_up_if_hopeless(waiting):
            return
        waiting.timer = self.events.at(waiting.deadline, lambda: self._too_late(waiting))

    def delete(self, key: SandboxKey) -> None:
        """The sandbox is gone; while the agent is away, that is noted for it."""
        self.live.pop(key, None)
        if not self.up:
            self._noted_deletions.append(key)
            return
        self._delete(key)
        self.kick()

    # --- its life -------------------------------------------------------------------------------------------

    def start(self, *, torn: bytes = b"") -> None:
        """A new agent: what metadata and EC2 show, what the disk remembers, who is alive."""
        if self.up or self._starting is not None:
            return
        self.ec2.restarted()
        self._starting = self.events.start(self._start(torn))

    def _start(self, torn: bytes) -> Work[None]:
        while not any(seen.id == self._primary.id for seen in self._shown()):
            yield METADATA_RETRY
        checkpoint = self._memory.read(torn=torn)
        attached, by_ec2 = [attached_eni(self.region, seen) for seen in self._shown()], None
        if len(attached) > 1 or checkpoint.allocations:
            by_ec2 = yield from self._looker.ask_at_start()
            # metadata knows some that EC2's read may have missed, if their device is there
            known = {entry.eni.id for entry in by_ec2 or ()}
            more = (e for e in attached if e.eni.id not in known and self._performer.has_device(e.eni.id))
            attached = attached if by_ec2 is None else [*by_ec2, *more]
        there: list[AttachedEni] = []
        for entry in attached:
            if (yield from self._performer.device_of(entry.eni.id, START_DEVICE_WAIT)):
                there.append(entry)  # noqa: PERF401 -- waiting is no part of a comprehension
        self._starting = None
        self._serve(there, checkpoint)
        self._looker.start(by_ec2)
        self.kick()

    def _serve(self, attached: list[AttachedEni], checkpoint: Checkpoint) -> None:
        self.ipam = self._fresh_ipam()
        self._queue: deque[Action] = deque()
        self._under_way: dict[int, Running] = {}
        self._begun = 0
        self._waiting: deque[Waiting] = deque()
        self._alarm: Timer | None = None
        alive = {(a.key, a.address) for a in self.live.values()}
        now = self.events.now
        self.restored = restore(self.ipam, attached, checkpoint, lambda a: (a.key, a.address) in alive, now)
        self._compact()
        self._judging = self.events.after(CONNECTING_TAKES, self._judge_unwired)
        self.up = True
        noted, self._noted_deletions = self._noted_deletions, []
        for key in noted:
            self._delete(key)
        if self.setup.looks_for_leaked:
            maker = Maker(self.instance.id, self.events.now)
            work = look_for_leaked(self.ec2, self.instance.vpc_id, self._seed, maker)
            self._leak_look = self.events.start(work)
        early, self._early = self._early, []
        for key, pod, answer in early:
            self.add(key, pod, answer)

    def _shown(self) -> tuple[NetworkInterface, ...]:
        return self.region.metadata_enis(self.instance.id, self.events.now)

    def crash(self) -> None:
        """The agent is killed between two instructions; what EC2 was told is under way there all the same."""
        if self._starting is not None:
            self._starting.kill()
            self._starting = None
            early, self._early = self._early, []
            for _, _, answer in early:
                answer(AGENT_AWAY)
        if not self.up:
            return
        self.up = False
        for running in self._under_way.values():
            running.kill()
        self._looker.stop()
        if self._leak_look is not None:
            self._leak_look.kill()
        if self._alarm is not None:
            self._alarm.cancel()
        self._judging.cancel()
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            if one.timer is not None:
                one.timer.cancel()
            one.answer(AGENT_AWAY)

    def touched(self) -> None:
        """Somebody else changed something of this node's ENIs: the next looks may find something."""
        self._looker.expect_news()

    def lose(self, pods: tuple[Assignment, ...]) -> None:
        """An ENI was given up; its pods' addresses went with it. They run on, and nothing reaches them."""
        until = self.events.now + self.setup.cooldown
        for assignment in pods:
            self._note(TakenBack(assignment.key, Cooling(assignment.address, until)))

    # --- the pool's actions ---------------------------------------------------------------------------------

    def kick(self) -> None:
        """Let the pool ask for what it wants now, and set the alarm for when it may want something else."""
        if not self.up:
            return
        now = self.events.now
        self._queue.extend(self.ipam.plan(now, waiting=len(self._waiting)))
        self._begin_next()
        at = self.ipam.next_event(now)
        if self._alarm is not None:
            if self._alarm.step is not None and self._alarm.at == at:
                return
            self._alarm.cancel()
        self._alarm = None if at is None else self.events.at(at, self.wake_and_kick)

    def wake_and_kick(self) -> None:
        """Something changed: those who wait try again, and the pool is asked what it wants."""
        if not self._waiting:
            self.kick()
            return
        # one after the other, those behind still counted as waiting
        for waiting in list(self._waiting):
            given = self.ipam.assign(waiting.key, waiting.pod, self.events.now)
            if isinstance(given, Assignment):
                self._stop_waiting(waiting)
                self._give(given, waiting.answer)
        self.kick()
        for waiting in list(self._waiting):
            if waiting in self._waiting:
                self._give_up_if_hopeless(waiting)

    def _begin_next(self) -> None:
        while self._queue and len(self._under_way) < THREADS:
            action = self._queue.popleft()
            self._begun += 1
            number = self._begun
            self._under_way[number] = self.events.start(
                self._performer.perform(action), partial(self._ended, number)
            )

    def _ended(self, number: int, outcome: Outcome) -> None:
        del self._under_way[number]
        if isinstance(outcome, Failed):
            self.failed[type(outcome.action).__name__, outcome.refusal.reason] += 1
        self._looker.told(outcome)
        try:
            self.ipam.apply(outcome, self.events.now)
        except (PoolError, NotUnderWayError) as error:
            self.surprises.append(f"{outcome}: {error!r}")
        self.wake_and_kick()

    # --- inside ---------------------------------------------------------------------------------------------

    def _fresh_ipam(self) -> Ipam:
        setup, limits = self.setup, self.setup.limits(self.region.limits(self.instance.type))
        placement = Placement(discovery=setup.subnet_discovery, seed=self._seed)
        return Ipam(
            limits,
            setup.targets,
            kind=setup.kind,
            cooldown=setup.cooldown,
            seed=self._seed,
            placement=placement,
            surplus_lasts=setup.surplus_lasts,
            warmth=setup.warmth() if setup.warmth is not None else None,
        )

    def _give(self, assignment: Assignment, answer: Answer) -> None:
        self._note(Given(assignment))
        self.live[assignment.key] = assignment
        answer(assignment)

    def _delete(self, key: SandboxKey) -> None:
        released = self.ipam.release(key, self.events.now)
        if released is not None:
            until = self.events.now + self.setup.cooldown
            self._note(TakenBack(key, Cooling(released.address, until)))

    def _judge_unwired(self) -> None:
        for assignment in self.restored.unwired if self.restored else ():
            if assignment.key not in self.live and self.ipam.find(assignment.key) == assignment:
                self._delete(assignment.key)

    def _note(self, entry: JournalEntry) -> None:
        if self._memory.note(entry):
            self._compact()

    def _compact(self) -> None:
        self._memory.rewrite(self.ipam.pool.assignments(), self.ipam.pool.cooling())

    def _give_up_if_hopeless(self, waiting: Waiting) -> bool:
        now = self.events.now
        if waiting not in self._waiting:
            return True
        if self.ipam.worth_waiting(now, waiting.deadline - now):
            return False
        self._refuse(waiting)
        return True

    def _too_late(self, waiting: Waiting) -> None:
        if waiting in self._waiting:
            self._refuse(waiting)

    def _refuse(self, waiting: Waiting) -> None:
        self._stop_waiting(waiting)
        waiting.answer(self.ipam.refusal(self.events.now))

    def _stop_waiting(self, waiting: Waiting) -> None:
        self._waiting.remove(waiting)
        if waiting.timer is not None:
            waiting.timer.cancel()

    # --- for those who watch --------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether EC2 is being asked for something."""
        return bool(self._under_way or self._queue or self._looker.asking)

    @property
    def starting(self) -> bool:
        """Whether it is about to serve."""
        return self._starting is not None

    def eni_under_way(self, eni: EniId) -> bool:
        """Whether EC2 is changing the ENI on our behalf."""
        return not self.ipam.state.under_way.told(eni)
