"""How services speak: from a request to an operation's name and typed parameters, from values or an error to an answer.

All follow the service models of botocore; none knows an operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from botocore.model import OperationModel

from vpclab.aws.model import Model
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.protocols.json_rpc import JsonRpc
from vpclab.aws.protocols.query import Ec2Query, Query
from vpclab.aws.protocols.refusals import Codes, Refusal, RefusedError
from vpclab.aws.protocols.rest_json import RestJson
from vpclab.aws.request import Answer, RawRequest
from vpclab.region.values import ApiError


class Codec(Protocol):
    """One protocol."""

    @property
    def codes(self) -> Codes:
        """What the endpoint's own refusals are called here."""

    def action(self, model: Model, request: RawRequest) -> str:
        """The name of the operation that is asked for, whether or not there is one. Raises ApiError."""

    def parameters(self, model: Model, operation: OperationModel, request: RawRequest) -> Parameters:
        """Its typed parameters. Raises RefusedError."""

    def answer(
        self, model: Model, operation: OperationModel, values: Mapping[str, Any], request_id: str
    ) -> Answer:
        """What it answers."""

    def refusal(self, model: Model | None, error: ApiError, request_id: str) -> Answer:
        """An error, in AWS's own shape."""


CODECS: Mapping[str, Codec] = {
    "ec2": Ec2Query(),
    "query": Query(),
    "json": JsonRpc(),
    "rest-json": RestJson(),
}
"""By the name that the models have for them."""

__all__ = ["CODECS", "Codec", "Parameters", "Refusal", "RefusedError"]
