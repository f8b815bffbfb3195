"""CloudFormation's refusals, with AWS's codes and wording."""

from __future__ import annotations

from vpclab.region.values import ApiError


def refused(message: str) -> ApiError:
    """Anything wrong with a template, its parameters or what is asked of a stack."""
    return ApiError("ValidationError", message)


def bad_format(message: str) -> ApiError:
    """A template that is not built as templates are."""
    return refused(f"Template format error: {message}")


def bad_template(message: str) -> ApiError:
    """A template whose functions are not used as they can be."""
    return refused(f"Template error: {message}")


def no_stack(name: str) -> ApiError:
    """No stack of this name or id."""
    return refused(f"Stack with id {name} does not exist")


def no_change_set(name: str) -> ApiError:
    """No change set of this name or id."""
    return ApiError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)


class ResourceFailed(Exception):  # noqa: N818 -- what happened, as CloudFormation's events name it
    """A resource that did not become what its template says; the text is the event's reason."""
