"""The JSON protocols 1.0 and 1.1 (SSM, CloudWatch Logs): the operation in X-Amz-Target, JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.model import OperationModel

from vpclab.aws.model import Model
from vpclab.aws.protocols import json_values, refusals
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.request import Answer, RawRequest
from vpclab.region.values import ApiError


class JsonRpc:
    """Both of them."""

    codes = refusals.JSON

    def action(self, model: Model, request: RawRequest) -> str:
        """The operation that is asked for."""
        del model
        return request.headers.get("x-amz-target", "").rpartition(".")[2]

    def parameters(self, model: Model, operation: OperationModel, request: RawRequest) -> Parameters:
        """The operation's typed parameters. Raises RefusedError."""
        del model
        given = json_values.parsed(request.body)
        shape = operation.input_shape
        found: Parameters = {} if shape is None else json_values.read(shape, given)
        return found

    def answer(
        self, model: Model, operation: OperationModel, values: Mapping[str, Any], request_id: str
    ) -> Answer:
        """An answer."""
        shape = operation.output_shape
        body = {} if shape is None else json_values.spoken(shape, values)
        return _json(model, 200, body, request_id)

    def refusal(self, model: Model | None, error: ApiError, request_id: str) -> Answer:
        """AWS's own shape of an error."""
        body = {"__type": error.code, "message": error.message, **error.fields}
        status = error.status if model is None else model.status_of(error.code, error.status)
        return _json(model, status, body, request_id)


def _json(model: Model | None, status: int, body: Any, request_id: str) -> Answer:
    version = "1.1" if model is None else model.service.metadata.get("jsonVersion", "1.0")
    return Answer(
        status, json.dumps(body), f"application/x-amz-json-{version}", {"x-amzn-RequestId": request_id}
    )
