"""How stacks get on: what is under way is looked at, what comes next is begun, how it ended is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from vpclab.cloudformation.account import Account
from vpclab.cloudformation.deeds import Delete, Hands, Make, Restore, shown
from vpclab.cloudformation.exports import Exports
from vpclab.cloudformation.graph import reversed_graph
from vpclab.cloudformation.jobs import Job, Work
from vpclab.cloudformation.meaning import Meaning
from vpclab.cloudformation.resource_type import ResourceType
from vpclab.cloudformation.stack import Intent, Operation, Stack
from vpclab.cloudformation.values import (
    COMPLETE,
    DELETED,
    FAILED,
    IN_PROGRESS,
    ROLLBACK_CLEANUP,
    STACK_TYPE,
    UPDATE_CLEANUP,
    StackEvent,
    StackResource,
    Verb,
)
from vpclab.region.draws import Draws
from vpclab.region.values import ApiError

CANCELLED = {Verb.CREATE: "Resource creation cancelled", Verb.UPDATE: "Resource update cancelled"}


class Progress:
    """Moves the operations of stacks on. `now` is given by the engine."""

    def __init__(
        self,
        account: Account,
        types: Mapping[str, ResourceType],
        draws: Draws,
        stacks: Callable[[], Iterable[Stack]],
        *,
        patience: float,
        now: float,
    ) -> None:
        self.now = now
        self.types = types
        self.draws = draws
        self.patience = patience
        self.exports = Exports(stacks)
        self.meaning = Meaning(account, types, draws, self.exports, self.time)

    def time(self) -> float:
        """The time that was given last."""
        return self.now

    # --- beginnings -------------------------------------------------------------------------------------------

    def create(self, stack: Stack, intent: Intent, *, on_failure: str, timeout: float | None) -> None:
        """Make a stack's resources. Raises ApiError: ValidationError, and then nothing has begun."""
        wanted = self.meaning.scope(stack, intent).wanted
        stack.intent = intent
        self.status(stack, Verb.CREATE.value + IN_PROGRESS, "User Initiated")
        hands = self._hands(stack, intent)
        jobs: dict[str, Job] = {name: Make(hands, name, needs) for name, needs in wanted.items()}
        stack.operation = Operation(Verb.CREATE, Work(jobs), self.now, on_failure=on_failure, timeout=timeout)

    def update(self, stack: Stack, intent: Intent, *, roll_back: bool) -> None:
        """Bring a stack to what a template says. Raises ApiError: ValidationError, and then nothing has begun."""
        wanted = self.meaning.scope(stack, intent).wanted
        before = stack.intent
        assert before is not None  # noqa: S101 -- only stacks that were created are updated
        operation = Operation(
            Verb.UPDATE,
            Work({}),
            self.now,
            before=before,
            resources_before=stack.copies(),
            on_failure="ROLLBACK" if roll_back else "DO_NOTHING",
        )
        stack.intent = intent
        stack.updated_at = self.now
        self.status(stack, Verb.UPDATE.value + IN_PROGRESS, "User Initiated")
        hands = self._hands(stack, intent)
        operation.work.jobs = {
            name: Make(hands, name, needs, operation.leftovers, before.tags) for name, needs in wanted.items()
        }
        stack.operation = operation

    def delete(self, stack: Stack, kept: Iterable[str] = ()) -> None:
        """End a stack, whatever is under way."""
        used = self.exports.used(stack)
        before = stack.status
        self.status(stack, Verb.DELETE.value + IN_PROGRESS, "User Initiated")
        if used:
            using = ", ".join(self.exports.importers(used[0]))
            self.status(
                stack, before, f"Delete canceled. Cannot delete export {used[0]} as it is in use by {using}."
            )
            return
        if stack.operation is not None:
            stack.operation.work.call_off(CANCELLED.get(stack.operation.verb, "Operation cancelled"))
        leftovers = list(stack.operation.leftovers) if stack.operation is not None else []
        work = self._deletions(stack, [*stack.resources.values(), *leftovers], frozenset(kept))
        stack.operation = Operation(Verb.DELETE, work, self.now, skipped=frozenset(kept))

    def roll_back(self, stack: Stack, operation: Operation, reason: str) -> None:
        """Undo an update."""
        before = operation.before
        assert before is not None  # noqa: S101 -- an update's
        tags = stack.intent.tags if stack.intent is not None else before.tags
        self.status(stack, Verb.UPDATE_ROLLBACK.value + IN_PROGRESS, reason)
        stack.intent = before
        hands = self._hands(stack, before)
        was = operation.resources_before
        leftovers = [] if operation.verb is Verb.UPDATE else list(operation.leftovers)
        leftovers += [
            one for one in stack.resources.values() if one.physical_id and one.logical_id not in was
        ]
        changed = {
            name: one
            for name, one in was.items()
            if name not in operation.skipped and self._differs(stack, one, tags, before)
        }
        jobs: dict[str, Job] = {
            name: Restore(hands, name, one.depends_on & changed.keys(), one, leftovers, before.tags)
            for name, one in changed.items()
        }
        for name in [key for key in stack.resources if key not in was]:
            del stack.resources[name]
        stack.operation = Operation(
            Verb.UPDATE_ROLLBACK,
            Work(jobs, halting=False),
            self.now,
            leftovers=leftovers,
            before=before,
            resources_before=was,
        )

    # --- moving on --------------------------------------------------------------------------------------------

    def step(self, stack: Stack) -> None:
        """Do whatever can be done now."""
        operation = stack.operation
        while operation is not None:
            operation.work.step(self.time)
            late = operation.timeout is not None and self.now - operation.began >= operation.timeout
            if late and operation.verb is Verb.CREATE and not operation.work.over:
                operation.work.failures.append("")
            if not operation.work.over:
                return
            self._over(stack, operation)
            operation = stack.operation

    def _over(self, stack: Stack, operation: Operation) -> None:
        failures = operation.work.failures
        if operation.cleaning:
            self._cleaned(stack, operation)
        elif operation.verb is Verb.CREATE:
            self._created(stack, operation) if not failures else self._not_created(stack, operation)
        elif operation.verb is Verb.UPDATE:
            self._updated(stack, operation) if not failures else self._not_updated(stack, operation)
        elif operation.verb is Verb.UPDATE_ROLLBACK:
            self._rolled_back(stack, operation)
        else:
            self._deleted(stack, operation)

    def _created(self, stack: Stack, operation: Operation) -> None:
        try:
            self._put_out(stack)
        except ApiError as error:
            operation.work.failures.append("")
            self._not_created(stack, operation, error.message)
            return
        stack.operation = None
        self.status(stack, Verb.CREATE.value + COMPLETE)

    def _not_created(self, stack: Stack, operation: Operation, why: str = "") -> None:
        operation.work.call_off(CANCELLED[Verb.CREATE])
        reason = why or self._blame(
            operation.work.failures, "create", "Stack creation time exceeded the specified timeout"
        )
        stack.operation = None
        match operation.on_failure:
            case "DO_NOTHING":
                self.status(stack, Verb.CREATE.value + FAILED, reason)
                return
            case "DELETE":
                verb = Verb.DELETE
            case _:
                verb = Verb.ROLLBACK
        self.status(stack, verb.value + IN_PROGRESS, f"{reason}Rollback requested by user.")
        work = self._deletions(stack, list(stack.resources.values()), frozenset(), rolling_back=True)
        stack.operation = Operation(verb, work, self.now)

    def _updated(self, stack: Stack, operation: Operation) -> None:
        try:
            self._put_out(stack)
        except ApiError as error:
            operation.work.failures.append("")
            self._not_updated(stack, operation, error.message)
            return
        wanted = operation.work.jobs.keys()
        removed = [one for name, one in stack.resources.items() if name not in wanted]
        for one in removed:
            del stack.resources[one.logical_id]
        self.status(stack, UPDATE_CLEANUP)
        keep = {id(one) for one in operation.leftovers if one.update_replace_policy == "Retain"}
        self._clean(stack, Verb.UPDATE, [*operation.leftovers, *removed], keep)

    def _not_updated(self, stack: Stack, operation: Operation, why: str = "") -> None:
        operation.work.call_off(CANCELLED[Verb.UPDATE])
        reason = why or self._blame(operation.work.failures, "update", "User Initiated")
        stack.operation = None
        if operation.on_failure == "DO_NOTHING":
            self.status(stack, Verb.UPDATE.value + FAILED, reason)
        else:
            self.roll_back(stack, operation, reason)

    def _rolled_back(self, stack: Stack, operation: Operation) -> None:
        failures = operation.work.failures
        stack.operation = None
        if failures:
            stack.failed_rollback = operation
            self.status(stack, Verb.UPDATE_ROLLBACK.value + FAILED, self._blame(failures, "update", ""))
            return
        self.status(stack, ROLLBACK_CLEANUP)
        self._clean(stack, Verb.UPDATE_ROLLBACK, operation.leftovers, set())

    def _clean(self, stack: Stack, verb: Verb, leftovers: list[StackResource], keep: set[int]) -> None:
        work = self._deletions(stack, leftovers, frozenset(), keep=keep)
        stack.operation = Operation(verb, work, self.now, cleaning=True)

    def _cleaned(self, stack: Stack, operation: Operation) -> None:
        stack.operation = None
        left = operation.work.failures
        reason = "Update successful. One or more resources could not be deleted." if left else ""
        self.status(stack, operation.verb.value + COMPLETE, reason)

    def _deleted(self, stack: Stack, operation: Operation) -> None:
        failures = operation.work.failures
        stack.operation = None
        if failures:
            names = sorted({name.partition("/")[0] for name in failures})
            self.status(
                stack,
                operation.verb.value + FAILED,
                f"The following resource(s) failed to delete: [{', '.join(names)}]. ",
            )
            return
        self.exports.withdraw(stack)
        if operation.verb is Verb.DELETE:
            stack.deleted_at = self.now
            self.status(stack, DELETED)
        else:
            self.status(stack, operation.verb.value + COMPLETE)

    # --- parts ------------------------------------------------------------------------------------------------

    def _deletions(
        self,
        stack: Stack,
        resources: Iterable[StackResource],
        kept: frozenset[str],
        *,
        rolling_back: bool = False,
        keep: set[int] | None = None,
    ) -> Work:
        assert stack.intent is not None  # noqa: S101 -- it has resources
        hands = self._hands(stack, stack.intent)
        there = [one for one in resources if one.status not in ("", "DELETE_COMPLETE", "DELETE_SKIPPED")]
        keys = {f"{one.logical_id}/{one.physical_id}": one for one in there}
        by_name: dict[str, set[str]] = {}
        for key, one in keys.items():
            by_name.setdefault(one.logical_id, set()).add(key)
        graph = {
            key: frozenset(other for need in one.depends_on for other in by_name.get(need, ()))
            for key, one in keys.items()
        }
        after = reversed_graph(graph)
        jobs: dict[str, Job] = {}
        for key, one in keys.items():
            policy = one.deletion_policy
            retained = policy == "Retain" or (policy == "RetainExceptOnCreate" and not rolling_back)
            if keep is not None and id(one) in keep:
                retained = True
            elif keep is not None and one.logical_id in stack.resources:
                retained = False  # replaced: its own policy has been asked
            skip = one.logical_id in kept or (retained and bool(one.physical_id))
            jobs[key] = Delete(hands, one, after[key], keep=skip)
        return Work(jobs, halting=False)

    def _put_out(self, stack: Stack) -> None:
        """Outputs and exports. Raises ApiError: ValidationError."""
        outputs, imports = self.meaning.outputs(stack)
        self.exports.put(stack, {one.export: one.value for one in outputs if one.export})
        stack.imports |= imports
        stack.outputs = outputs

    def _differs(self, stack: Stack, was: StackResource, tags: Mapping[str, str], before: Intent) -> bool:
        now = stack.resources.get(was.logical_id)
        if now is None or now.physical_id != was.physical_id or now.properties != was.properties:
            return True
        retagged = dict(tags) != dict(before.tags) and self.types[was.type].taggable
        return now.status == "UPDATE_FAILED" or (retagged and now.at != was.at)

    def _blame(self, failures: Iterable[str], deed: str, otherwise: str) -> str:
        names = [name.partition("/")[0] for name in failures if name]
        return (
            f"The following resource(s) failed to {deed}: [{', '.join(names)}]. "
            if names
            else f"{otherwise}. "
        )

    def _hands(self, stack: Stack, intent: Intent) -> Hands:
        return Hands(
            stack,
            intent,
            self.types,
            self.meaning.context,
            self.meaning.resolved,
            self._tell,
            self.time,
            self.patience,
            stack.token or self.draws.uuid(),
        )

    def status(self, stack: Stack, status: str, reason: str = "") -> None:
        """The stack is in another state; an event tells of it."""
        stack.status = status
        stack.reason = reason
        self._event(stack, stack.name, stack.id, STACK_TYPE, status, reason, "")

    def _tell(self, stack: Stack, resource: StackResource, status: str, reason: str) -> None:
        resource.status = status
        resource.reason = reason
        resource.at = self.now
        self._event(
            stack,
            resource.logical_id,
            resource.physical_id,
            resource.type,
            status,
            reason,
            shown(resource.properties),
        )

    def _event(
        self, stack: Stack, logical: str, physical: str, kind: str, status: str, reason: str, properties: str
    ) -> None:
        identity = self.draws.uuid()
        if kind != STACK_TYPE:
            identity = f"{logical}-{status}-{self.now:.3f}-{identity[:8]}"
        stack.events.append(
            StackEvent(identity, self.now, logical, physical, kind, status, reason, properties, stack.token)
        )
