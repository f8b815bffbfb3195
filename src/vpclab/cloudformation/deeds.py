"""What is done to a resource: made, brought to what its template says, put back, deleted. One class a deed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.jobs import JobState
from vpclab.cloudformation.resource_type import Context, ResourceType, complaints
from vpclab.cloudformation.stack import Intent, Stack
from vpclab.cloudformation.values import Properties, StackResource
from vpclab.region.values import ApiError

T = TypeVar("T")
RETRIED = frozenset(
    {"DependencyViolation", "ResourceInUseException", "InvalidIPAddress.InUse", "ResourceInUse"}
)
"""What a delete waits for to pass: what holds the resource may be on its way out."""
REPLACING = "Requested update requires the creation of a new physical resource; hence creating one."
_HANDLER_CODES = (
    ("NotFound", "NotFound"),
    ("NotExist", "NotFound"),
    ("Duplicate", "AlreadyExists"),
    ("AlreadyExists", "AlreadyExists"),
    ("LimitExceeded", "ServiceLimitExceeded"),
    ("Throttl", "Throttling"),
    ("RequestLimit", "Throttling"),
    ("Invalid", "InvalidRequest"),
    ("DependencyViolation", "InvalidRequest"),
    ("Internal", "ServiceInternalError"),
)


@dataclass(slots=True)
class Hands:
    """What a deed on a stack's resources works with."""

    stack: Stack
    intent: Intent
    types: Mapping[str, ResourceType]
    context: Callable[[Stack, str, Mapping[str, str]], Context]
    resolved: Callable[[Stack, Intent, str], dict[str, Any]]
    """A resource's properties with every function done."""
    tell: Callable[[Stack, StackResource, str, str], None]
    """An event: the resource's new status, and why."""
    now: Callable[[], float]
    patience: float
    """Seconds for which a delete is tried again while something still depends on the resource."""
    token: str = ""

    def at(self, resource: StackResource, tags: Mapping[str, str] | None = None) -> Context:
        """Where it is made."""
        return self.context(self.stack, resource.logical_id, self.intent.tags if tags is None else tags)

    def kind(self, resource: StackResource) -> ResourceType:
        """Its type."""
        return self.types[resource.type]

    def prepared(self, resource: StackResource) -> dict[str, Any]:
        """Its properties by the template, complete and known. Raises ResourceFailed."""
        try:
            found = self.resolved(self.stack, self.intent, resource.logical_id)
        except ApiError as error:
            raise ResourceFailed(error.message) from None
        wrong = complaints(self.kind(resource), found)
        if wrong:
            raise ResourceFailed(
                f"Properties validation failed for resource {resource.logical_id} with message:\n"
                + "\n".join(wrong)
            )
        return found

    def handled(self, resource: StackResource, deed: Callable[[], T]) -> T:
        """What the type's handler does. Raises ResourceFailed in CloudFormation's words, or ApiError(retry) as it is."""
        try:
            return deed()
        except ApiError as error:
            raise ResourceFailed(self.spoken(resource, error)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = f"required key [{error.args[0]}] not found" if isinstance(error, KeyError) else str(error)
            raise ResourceFailed(
                f"Properties validation failed for resource {resource.logical_id} with message:\n#: {said}"
            ) from error

    def spoken(self, resource: StackResource, error: ApiError) -> str:
        """A service's refusal as the event's reason has it."""
        code = next((said for part, said in _HANDLER_CODES if part in error.code), "GeneralServiceException")
        service = {"EC2": "Ec2", "EKS": "Eks", "IAM": "Iam"}.get(resource.type.split("::")[1], "Lab")
        return (
            f'Resource handler returned message: "{error.message} (Service: {service}, Status Code: {error.status},'
            f' Error Code: {error.code})" (RequestToken: {self.token}, HandlerErrorCode: {code})'
        )


@dataclass(slots=True)
class Make:
    """Bring a resource to what the template says: create it, change it, replace it, or leave it."""

    hands: Hands
    name: str
    needs: frozenset[str]
    leftovers: list[StackResource] = field(default_factory=list)
    """Where the resource that was replaced goes."""
    old_tags: Mapping[str, str] = field(default_factory=dict)
    state: JobState = JobState.WAITING
    began: float = 0.0
    _verb: str = "CREATE"
    _left: bool = False

    @property
    def resource(self) -> StackResource:
        """What it is done to."""
        return self.hands.stack.resources[self.name]

    def start(self) -> None:
        """Begin. Raises ResourceFailed."""
        declared = self.hands.intent.template.resources[self.name]
        before = self.hands.stack.resources.get(self.name)
        after = StackResource(
            self.name,
            declared.type,
            depends_on=self.needs,
            deletion_policy=declared.deletion_policy,
            update_replace_policy=declared.update_replace_policy,
            metadata=declared.metadata,
        )
        if before is None or not before.physical_id or before.status == "DELETE_COMPLETE":
            self._create(after)
        else:
            self._change(before, after)

    def finished(self) -> bool:
        """Look whether it is there. Raises ResourceFailed."""
        if self._left:
            return True
        hands, resource = self.hands, self.resource
        kind, at = hands.kind(resource), hands.at(resource)
        p, physical = resource.properties, resource.physical_id
        if not hands.handled(resource, lambda: kind.settled(at, physical, p)):
            return False
        if self._verb == "CREATE" and not self._signalled():
            return False
        resource.attributes = hands.handled(resource, lambda: kind.read(at, physical, p))
        hands.tell(hands.stack, resource, f"{self._verb}_COMPLETE", "")
        return True

    def failed(self, reason: str) -> None:
        """It came to nothing."""
        self.hands.tell(self.hands.stack, self.resource, f"{self._verb}_FAILED", reason)

    def _create(self, resource: StackResource, reason: str = "") -> None:
        hands = self.hands
        in_progress = f"{self._verb}_IN_PROGRESS"
        hands.stack.resources[self.name] = resource
        hands.stack.signals[self.name] = {}
        hands.tell(hands.stack, resource, in_progress, reason)
        if not resource.properties:
            resource.properties = hands.prepared(resource)
        kind, at = hands.kind(resource), hands.at(resource)
        resource.physical_id = hands.handled(resource, lambda: kind.create(at, resource.properties))
        hands.tell(hands.stack, resource, in_progress, "Resource creation Initiated")
        hands.handled(resource, lambda: self._mark(at, kind.tagged_id(at, resource.physical_id)))

    def _mark(self, at: Context, resource_id: str) -> None:
        if resource_id:
            tags = [{"Key": key, "Value": value} for key, value in at.marks.items()]
            at.call("ec2", "CreateTags", Resources=[resource_id], Tags=tags)

    def _change(self, before: StackResource, after: StackResource) -> None:
        hands = self.hands
        self._verb = "UPDATE"
        wanted = hands.prepared(before if before.type == after.type else after)
        after.properties = wanted
        before.depends_on |= after.depends_on
        if before.type != after.type:
            self._replace(before, after)
            return
        kind = hands.kind(before)
        retagged = kind.taggable and dict(self.old_tags) != dict(hands.intent.tags)
        if wanted == before.properties and not retagged:
            before.depends_on = after.depends_on
            before.deletion_policy = after.deletion_policy
            before.update_replace_policy = after.update_replace_policy
            before.metadata = after.metadata
            self._left = True
        elif kind.replaces(hands.at(before), before.properties, wanted):
            self._replace(before, after)
        else:
            old = before.properties
            resource = replace(before, properties=wanted, metadata=after.metadata)
            resource.deletion_policy = after.deletion_policy
            resource.update_replace_policy = after.update_replace_policy
            resource.depends_on = after.depends_on
            hands.stack.resources[self.name] = resource
            hands.tell(hands.stack, resource, "UPDATE_IN_PROGRESS", "")
            at = hands.at(resource)
            hands.handled(resource, lambda: kind.update(at, resource.physical_id, old, wanted))

    def _replace(self, before: StackResource, after: StackResource) -> None:
        self.leftovers.append(before)
        self._create(after, REPLACING)

    def _signalled(self) -> bool:
        """Whether the signals that a creation policy asks for are there. Raises ResourceFailed."""
        hands = self.hands
        policy = hands.intent.template.resources[self.name].creation_policy.get("ResourceSignal")
        if not isinstance(policy, Mapping):
            return True
        wanted, patience = int(policy.get("Count", 1)), seconds_of(str(policy.get("Timeout", "PT5M")))
        got = hands.stack.signals.get(self.name, {})
        bad = [key for key, status in got.items() if status == "FAILURE"]
        if bad:
            raise ResourceFailed(f"Received FAILURE signal with UniqueId {bad[0]}")
        if len(got) < wanted and hands.now() - self.began >= patience:
            raise ResourceFailed(
                f"Failed to receive {wanted - len(got)} resource signal(s) within the specified duration"
            )
        return len(got) >= wanted


@dataclass(slots=True)
class Restore:
    """Put a resource back to what it was before an update that failed."""

    hands: Hands
    name: str
    needs: frozenset[str]
    was: StackResource
    leftovers: list[StackResource]
    old_tags: Mapping[str, str]
    state: JobState = JobState.WAITING
    began: float = 0.0
    _changes: bool = True

    @property
    def resource(self) -> StackResource:
        """What it is done to."""
        return self.hands.stack.resources[self.name]

    def start(self) -> None:
        """Begin. Raises ResourceFailed."""
        hands = self.hands
        now = hands.stack.resources.get(self.name, self.was)
        back = replace(self.was)
        hands.stack.resources[self.name] = back
        hands.tell(hands.stack, back, "UPDATE_IN_PROGRESS", "")
        if now.physical_id != self.was.physical_id:
            if now.physical_id:
                self.leftovers.append(now)
            self._changes = False
            return
        kind, at = hands.kind(back), hands.at(back, self.old_tags)
        hands.handled(back, lambda: kind.update(at, back.physical_id, now.properties, back.properties))

    def finished(self) -> bool:
        """Look whether it is as before. Raises ResourceFailed."""
        hands, resource = self.hands, self.resource
        kind, at = hands.kind(resource), hands.at(resource)
        p, physical = resource.properties, resource.physical_id
        if self._changes and not hands.handled(resource, lambda: kind.settled(at, physical, p)):
            return False
        resource.attributes = hands.handled(resource, lambda: kind.read(at, physical, p))
        hands.tell(hands.stack, resource, "UPDATE_COMPLETE", "")
        return True

    def failed(self, reason: str) -> None:
        """It came to nothing."""
        self.hands.tell(self.hands.stack, self.resource, "UPDATE_FAILED", reason)


@dataclass(slots=True)
class Delete:
    """End a resource, or leave it where its policy or the request says so."""

    hands: Hands
    resource: StackResource
    needs: frozenset[str]
    keep: bool = False
    state: JobState = JobState.WAITING
    began: float = 0.0
    _asked: bool = False
    _skipped: bool = False

    def start(self) -> None:
        """Begin. Raises ResourceFailed."""
        if self.keep:
            self.hands.tell(self.hands.stack, self.resource, "DELETE_SKIPPED", "")
            self._skipped = True
        else:
            self.hands.tell(self.hands.stack, self.resource, "DELETE_IN_PROGRESS", "")

    def finished(self) -> bool:
        """Ask for its end, again if something still holds it; look whether it is gone. Raises ResourceFailed."""
        if self._skipped:
            return True
        hands, resource = self.hands, self.resource
        kind, at = hands.kind(resource), hands.at(resource)
        p: Properties = resource.properties
        try:
            if resource.physical_id and not self._asked:
                kind.delete(at, resource.physical_id, p)
                self._asked = True
            if resource.physical_id and not kind.gone(at, resource.physical_id, p):
                return False
        except ApiError as error:
            if error.code in RETRIED and hands.now() - self.began < hands.patience:
                return False
            if not ("NotFound" in error.code or error.code == "NoSuchEntity"):
                raise ResourceFailed(hands.spoken(resource, error)) from error
        hands.tell(hands.stack, resource, "DELETE_COMPLETE", "")
        return True

    def failed(self, reason: str) -> None:
        """It came to nothing."""
        self.hands.tell(self.hands.stack, self.resource, "DELETE_FAILED", reason)


def seconds_of(duration: str) -> float:
    """An ISO 8601 duration such as PT15M. Raises ResourceFailed."""
    total, number = 0.0, ""
    units = {"D": 86400, "H": 3600, "M": 60, "S": 1}
    for letter in duration.upper().removeprefix("P").replace("T", ""):
        if letter.isdigit() or letter == ".":
            number += letter
        elif letter in units and number:
            total += float(number) * units[letter]
            number = ""
        else:
            raise ResourceFailed(f"Timeout {duration} is no duration such as PT15M")
    return total


def shown(p: Properties) -> str:
    """Properties as events have them."""
    return json.dumps(p, separators=(",", ":"), default=str)
