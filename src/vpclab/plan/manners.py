"""The agent's manners towards EC2 (its budget of calls, what an error means), for the simulation: see `vpclab.sim.client`."""

from __future__ import annotations

from vpccni.aws import errors
from vpccni.aws.budget import CallBudget
from vpclab.region.values import ApiError
from vpclab.sim.client import Manners, Understood
from vpclab.sim.original import Unpaced


def _failure(action: str, error: ApiError, subject: str, prefixes: bool) -> Understood:
    return errors.failure(
        action, error.code, error.message, subject=subject, prefixes=prefixes, status=error.status
    )


def _unreachable(action: str, subject: str) -> Understood:
    return errors.unreachable(action, "the answer was lost", subject=subject, unsure=True)


OURS = Manners(CallBudget, _failure, _unreachable)
UNPACED = Manners(Unpaced, _failure, _unreachable)
"""The original's client: no budget."""
