"""CloudFormation of one account and region: what a user asks of it. Pure; time is given by `advance`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from vpclab.cloudformation.account import Account
from vpclab.cloudformation.change_sets import NO_CHANGES, ChangeSet
from vpclab.cloudformation.errors import no_change_set, no_stack, refused
from vpclab.cloudformation.parameters import values_of
from vpclab.cloudformation.plan import nothing_to_do, planned
from vpclab.cloudformation.progress import Progress
from vpclab.cloudformation.resource_type import Cloud, ResourceType
from vpclab.cloudformation.rules import check_rules
from vpclab.cloudformation.stack import Intent, Stack
from vpclab.cloudformation.template import Template, parse
from vpclab.cloudformation.values import DELETED, IN_PROGRESS, REVIEW, UPDATABLE, Verb
from vpclab.region.draws import Draws
from vpclab.region.values import ApiError

POLL = 0.1
"""Seconds between two looks at what is under way."""
PATIENCE = 10.0
"""Seconds for which a delete is tried again while something depends on the resource. AWS tries for minutes."""
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request says that a stack is to be."""

    template: str | None
    """Its text; None: the template that the stack has."""
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    """None: the value that it has."""
    tags: Mapping[str, str] | None = None
    """None: those that it has."""
    capabilities: tuple[str, ...] = ()
    notification_arns: tuple[str, ...] | None = None
    role_arn: str = ""


class Engine:
    """The stacks. Operations have CloudFormation's names and raise ApiError with its codes."""

    def __init__(
        self,
        cloud: Cloud,
        types: Mapping[str, ResourceType],
        *,
        region: str = "ap-northeast-2",
        account: str = "111122223333",
        seed: int = 0,
        now: float = 0.0,
        patience: float = PATIENCE,
    ) -> None:
        self.types = types
        self.account = Account(cloud, region, account)
        self.stacks: dict[str, Stack] = {}
        """By id, deleted ones as well; oldest first."""
        self._live: dict[str, str] = {}
        self._draws = Draws(seed, "cloudformation")
        self._answered: dict[str, tuple[str, str]] = {}
        self.progress = Progress(
            self.account, types, self._draws, self.stacks.values, patience=patience, now=now
        )

    # --- time -------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time that was given last."""
        return self.progress.now

    def advance(self, now: float) -> None:
        """It is `now`: look at what is under way, begin what can begin."""
        self.progress.now = max(self.progress.now, now)
        for stack in list(self.stacks.values()):
            self.progress.step(stack)
            if stack.gone and self._live.get(stack.name) == stack.id:
                del self._live[stack.name]

    def next_due(self) -> float | None:
        """When `advance` should look again; None if nothing is under way."""
        return self.now + POLL if any(stack.busy for stack in self.stacks.values()) else None

    # --- reading ----------------------------------------------------------------------------------------------

    def stack(self, name_or_id: str) -> Stack:
        """By name if it is not deleted, by id in any case. Raises ApiError: ValidationError."""
        found = self.stacks.get(self._live.get(name_or_id, name_or_id))
        if found is None:
            raise no_stack(name_or_id)
        return found

    def live(self) -> list[Stack]:
        """Those that are not deleted, newest first."""
        return [stack for stack in reversed(self.stacks.values()) if not stack.gone]

    def change_set(self, name_or_id: str, stack: str | None) -> ChangeSet:
        """By id, or by name with its stack. Raises ApiError: ChangeSetNotFound, ValidationError."""
        owners = [self.stack(stack)] if stack else list(self.stacks.values())
        for owner in owners:
            for one in owner.change_sets.values():
                if name_or_id == one.id or (stack and name_or_id == one.name):
                    return one
        raise no_change_set(name_or_id)

    def parsed(self, text: str) -> Template:
        """A template of a request. Raises ApiError: ValidationError."""
        return parse(text, self.types)

    # --- stacks -----------------------------------------------------------------------------------------------

    def create_stack(
        self,
        name: str,
        wish: Wish,
        *,
        on_failure: str = "ROLLBACK",
        timeout_minutes: int | None = None,
        termination_protection: bool = False,
        token: str = "",
    ) -> str:
        """Begin to make a stack; -> its id. Raises ApiError: AlreadyExistsException, ValidationError."""
        known = self._again(token, "CreateStack", name)
        if known:
            return known
        if name in self._live:
            raise ApiError("AlreadyExistsException", f"Stack [{name}] already exists")
        stack = self._new(name, token)
        intent = self._intent(stack, wish)
        stack.timeout_minutes = timeout_minutes
        stack.termination_protection = termination_protection
        stack.disable_rollback = on_failure == "DO_NOTHING"
        self.progress.create(
            stack, intent, on_failure=on_failure, timeout=timeout_minutes * 60.0 if timeout_minutes else None
        )
        self._put(stack)
        self._remember(token, "CreateStack", name, stack.id)
        return stack.id

    def update_stack(self, name: str, wish: Wish, *, roll_back: bool = True, token: str = "") -> str:
        """Begin to change a stack; -> its id. Raises ApiError: ValidationError (also if nothing would change)."""
        known = self._again(token, "UpdateStack", name)
        if known:
            return known
        stack = self.stack(name)
        if stack.gone:
            raise no_stack(name)
        self._must_be_updatable(stack)
        intent = self._intent(stack, wish)
        if nothing_to_do(self.progress.meaning, stack, intent):
            raise refused("No updates are to be performed.")
        stack.token = token
        self.progress.update(stack, intent, roll_back=roll_back)
        self._remember(token, "UpdateStack", name, stack.id)
        return stack.id

    def delete_stack(self, name: str, retain: Iterable[str] = (), *, token: str = "") -> None:
        """Begin to end a stack; one that is not there is no error. Raises ApiError: ValidationError."""
        stack = self.stacks.get(self._live.get(name, name))
        if stack is None or stack.gone or (stack.status == "DELETE_IN_PROGRESS" and stack.busy):
            return
        if stack.termination_protection:
            raise refused(f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled")
        kept = list(retain)
        if kept and stack.status != "DELETE_FAILED":
            raise refused(
                f"Invalid operation on stack [{stack.id}]. When you delete a stack, specify which resources to retain"
                " only when the stack is in the DELETE_FAILED state."
            )
        strange = sorted(set(kept) - stack.resources.keys())
        if strange:
            raise refused(
                f"The specified resources to retain must be in a valid state. Do not specify resources that are not in"
                f" the stack: [{', '.join(strange)}]"
            )
        stack.token = token
        if stack.intent is None:
            stack.deleted_at = self.now
            self.progress.status(stack, DELETED, "User Initiated")
            del self._live[stack.name]
            return
        self.progress.delete(stack, kept)

    def cancel_update(self, name: str) -> None:
        """Have an update that is under way undone. Raises ApiError: ValidationError."""
        stack = self.stack(name)
        operation = stack.operation
        if operation is None or operation.verb is not Verb.UPDATE or operation.cleaning:
            raise refused("CancelUpdateStack cannot be called from current stack status")
        operation.work.call_off("Resource update cancelled")
        self.progress.roll_back(stack, operation, "User Initiated")

    def continue_rollback(self, name: str, skip: Iterable[str] = ()) -> None:
        """Try again to undo an update. Raises ApiError: ValidationError."""
        stack = self.stack(name)
        if stack.status != "UPDATE_ROLLBACK_FAILED" or stack.failed_rollback is None:
            raise refused(
                f"Stack:{stack.id} is in {stack.status} state and can not continue rolling back an update."
            )
        operation, stack.failed_rollback = stack.failed_rollback, None
        operation.skipped = frozenset(skip)
        self.progress.roll_back(stack, operation, "User Initiated")

    def protect(self, name: str, *, enabled: bool) -> str:
        """Termination protection; -> the stack's id. Raises ApiError: ValidationError."""
        stack = self.stack(name)
        stack.termination_protection = enabled
        return stack.id

    def signal(self, name: str, resource: str, unique: str, status: str) -> None:
        """SUCCESS or FAILURE, to a resource that waits for it. Raises ApiError: ValidationError."""
        stack = self.stack(name)
        there = stack.resources.get(resource)
        if there is None or not stack.busy:
            raise refused(f"Resource {resource} is not in a state that can be signalled")
        if not there.status.endswith(IN_PROGRESS):
            raise refused(f"Signal for resource {resource} is not expected: it is {there.status}")
        stack.signals.setdefault(resource, {})[unique] = status

    # --- change sets ------------------------------------------------------------------------------------------

    def create_change_set(
        self,
        stack_name: str,
        name: str,
        kind: str,
        wish: Wish,
        *,
        description: str = "",
        on_failure: str = "",
        token: str = "",
    ) -> ChangeSet:
        """Plan; a new stack is in review until the plan is carried out. Raises ApiError: ValidationError."""
        if not _NAME.match(name):
            raise refused(
                f"1 validation error detected: Value '{name}' at 'changeSetName' failed to satisfy constraint: Member must"
                " satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        there = self.stacks.get(self._live.get(stack_name, stack_name))
        if kind == "CREATE":
            if there is not None and there.status != REVIEW:
                raise refused(
                    f"Stack [{stack_name}] already exists and cannot be created again with the changeSet [{name}]."
                )
            stack = self._new(stack_name, token) if there is None else there
        else:
            if there is None or there.gone:
                raise refused(f"Stack [{stack_name}] does not exist")
            self._must_be_updatable(there)
            stack = there
        if any(one.name == name for one in stack.change_sets.values()):
            raise ApiError(
                "AlreadyExistsException",
                f"ChangeSet {name} cannot be created due to a mismatch with existing attribute",
            )
        intent = self._intent(stack, wish)
        changes = planned(self.progress.meaning, stack, intent)
        made = ChangeSet(
            self._arn("changeSet", name),
            name,
            stack.id,
            stack.name,
            kind,
            self.now,
            intent,
            changes,
            description=description,
            on_failure=on_failure,
            token=token,
        )
        if kind == "UPDATE" and nothing_to_do(self.progress.meaning, stack, intent):
            made.status, made.execution, made.reason = "FAILED", "UNAVAILABLE", NO_CHANGES
        if stack.id not in self.stacks:
            self._put(stack)
            self.progress.status(stack, REVIEW, "User Initiated")
        stack.change_sets[made.id] = made
        return made

    def execute_change_set(
        self, name: str, stack_name: str | None, *, disable_rollback: bool = False, token: str = ""
    ) -> None:
        """Carry a plan out. Raises ApiError: InvalidChangeSetStatus, ChangeSetNotFound."""
        chosen = self.change_set(name, stack_name)
        if chosen.execution != "AVAILABLE":
            raise ApiError(
                "InvalidChangeSetStatus",
                f"ChangeSet [{chosen.id}] cannot be executed in its current status of [{chosen.status}]",
            )
        stack = self.stacks[chosen.stack_id]
        stack.token = token
        stack.change_set_id = chosen.id
        stack.disable_rollback = disable_rollback
        on_failure = chosen.on_failure or ("DO_NOTHING" if disable_rollback else "ROLLBACK")
        if chosen.kind == "CREATE":
            self.progress.create(stack, chosen.intent, on_failure=on_failure, timeout=None)
        else:
            self._must_be_updatable(stack)
            self.progress.update(stack, chosen.intent, roll_back=on_failure != "DO_NOTHING")
        chosen.execution = "EXECUTE_COMPLETE"
        stack.change_sets = {chosen.id: chosen}

    def delete_change_set(self, name: str, stack_name: str | None) -> None:
        """Forget a plan; the stack in review stays. Raises ApiError: ChangeSetNotFound."""
        chosen = self.change_set(name, stack_name)
        del self.stacks[chosen.stack_id].change_sets[chosen.id]

    # --- parts ------------------------------------------------------------------------------------------------

    def _new(self, name: str, token: str) -> Stack:
        if not _NAME.match(name):
            raise refused(
                f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must"
                " satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            )
        return Stack(name, self._arn("stack", name), self.now, token=token)

    def _put(self, stack: Stack) -> None:
        self.stacks[stack.id] = stack
        self._live[stack.name] = stack.id

    def _arn(self, kind: str, name: str) -> str:
        where = f"{self.account.region}:{self.account.number}"
        return f"arn:aws:cloudformation:{where}:{kind}/{name}/{self._draws.uuid()}"

    def _intent(self, stack: Stack, wish: Wish) -> Intent:
        before = stack.intent
        if wish.template is not None:
            template = self.parsed(wish.template)
        elif before is not None:
            template = before.template
        else:
            raise refused("Either Template URL or Template Body must be specified.")
        values = values_of(
            template.parameters,
            wish.parameters,
            {} if before is None else before.parameters,
            self.account.lookups,
        )
        missing = [one for one in template.capabilities if not _granted(one, wish.capabilities)]
        if missing:
            raise ApiError(
                "InsufficientCapabilitiesException", f"Requires capabilities : [{', '.join(missing)}]"
            )
        empty = Intent(template, values, {}) if before is None else before
        intent = replace(
            empty,
            template=template,
            parameters=values,
            tags=empty.tags if wish.tags is None else wish.tags,
            capabilities=wish.capabilities,
            notification_arns=empty.notification_arns
            if wish.notification_arns is None
            else wish.notification_arns,
            role_arn=wish.role_arn or empty.role_arn,
        )
        check_rules(template.rules, self.progress.meaning.scope(stack, intent))
        return intent

    def _must_be_updatable(self, stack: Stack) -> None:
        if stack.status not in UPDATABLE:
            raise refused(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")

    def _again(self, token: str, action: str, name: str) -> str:
        """The answer to an earlier request with this token."""
        if not token or token not in self._answered:
            return ""
        what, answer = self._answered[token]
        if what != f"{action} {name}":
            raise ApiError("TokenAlreadyExistsException", f"Token [{token}] was used for another operation")
        return answer

    def _remember(self, token: str, action: str, name: str, answer: str) -> None:
        if token:
            self._answered[token] = (f"{action} {name}", answer)


def _granted(capability: str, given: Iterable[str]) -> bool:
    return capability in given or (capability == "CAPABILITY_IAM" and "CAPABILITY_NAMED_IAM" in given)
