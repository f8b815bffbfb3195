"""What the endpoint itself refuses, in the words of each protocol.

An operation's own errors are its service's; these are the ones that come before it (IAM's and EC2's "Common errors",
and the JSON protocols' documents of the same name).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from vpclab.region.values import ApiError


class Refusal(enum.Enum):
    """Why a request is refused."""

    UNKNOWN_OPERATION = enum.auto()
    UNKNOWN_PARAMETER = enum.auto()
    MISSING_PARAMETER = enum.auto()
    INVALID_VALUE = enum.auto()
    MALFORMED = enum.auto()
    NOT_EMULATED = enum.auto()
    """The service has it, the lab does not."""
    UNSIGNED = enum.auto()
    UNKNOWN_KEY = enum.auto()
    BAD_SIGNATURE = enum.auto()
    INCOMPLETE_SIGNATURE = enum.auto()
    EXPIRED_REQUEST = enum.auto()
    EXPIRED_TOKEN = enum.auto()
    THROTTLED = enum.auto()
    TOKEN_REUSED = enum.auto()
    INTERNAL = enum.auto()


Codes = Mapping[Refusal, tuple[str, int]]
"""An error's code and HTTP status."""

EC2: Codes = MappingProxyType(
    {
        Refusal.UNKNOWN_OPERATION: ("InvalidAction", 400),
        Refusal.UNKNOWN_PARAMETER: ("UnknownParameter", 400),
        Refusal.MISSING_PARAMETER: ("MissingParameter", 400),
        Refusal.INVALID_VALUE: ("InvalidParameterValue", 400),
        Refusal.MALFORMED: ("InvalidQueryParameter", 400),
        Refusal.NOT_EMULATED: ("UnsupportedOperation", 400),
        Refusal.UNSIGNED: ("MissingAuthenticationToken", 403),
        Refusal.UNKNOWN_KEY: ("AuthFailure", 401),
        Refusal.BAD_SIGNATURE: ("SignatureDoesNotMatch", 403),
        Refusal.INCOMPLETE_SIGNATURE: ("IncompleteSignature", 400),
        Refusal.EXPIRED_REQUEST: ("RequestExpired", 400),
        Refusal.EXPIRED_TOKEN: ("RequestExpired", 400),
        Refusal.THROTTLED: ("RequestLimitExceeded", 503),
        Refusal.TOKEN_REUSED: ("IdempotentParameterMismatch", 400),
        Refusal.INTERNAL: ("InternalError", 500),
    }
)
QUERY: Codes = MappingProxyType(
    {
        Refusal.UNKNOWN_OPERATION: ("InvalidAction", 400),
        Refusal.UNKNOWN_PARAMETER: ("ValidationError", 400),
        Refusal.MISSING_PARAMETER: ("ValidationError", 400),
        Refusal.INVALID_VALUE: ("ValidationError", 400),
        Refusal.MALFORMED: ("MalformedInput", 400),
        Refusal.NOT_EMULATED: ("InvalidAction", 400),
        Refusal.UNSIGNED: ("MissingAuthenticationToken", 403),
        Refusal.UNKNOWN_KEY: ("InvalidClientTokenId", 403),
        Refusal.BAD_SIGNATURE: ("SignatureDoesNotMatch", 403),
        Refusal.INCOMPLETE_SIGNATURE: ("IncompleteSignature", 400),
        Refusal.EXPIRED_REQUEST: ("RequestExpired", 400),
        Refusal.EXPIRED_TOKEN: ("ExpiredToken", 403),
        Refusal.THROTTLED: ("Throttling", 400),
        Refusal.TOKEN_REUSED: ("ValidationError", 400),
        Refusal.INTERNAL: ("InternalFailure", 500),
    }
)
JSON: Codes = MappingProxyType(
    {
        Refusal.UNKNOWN_OPERATION: ("UnknownOperationException", 400),
        Refusal.UNKNOWN_PARAMETER: ("ValidationException", 400),
        Refusal.MISSING_PARAMETER: ("ValidationException", 400),
        Refusal.INVALID_VALUE: ("ValidationException", 400),
        Refusal.MALFORMED: ("SerializationException", 400),
        Refusal.NOT_EMULATED: ("UnsupportedOperationException", 400),
        Refusal.UNSIGNED: ("MissingAuthenticationTokenException", 400),
        Refusal.UNKNOWN_KEY: ("UnrecognizedClientException", 400),
        Refusal.BAD_SIGNATURE: ("InvalidSignatureException", 400),
        Refusal.INCOMPLETE_SIGNATURE: ("IncompleteSignatureException", 400),
        Refusal.EXPIRED_REQUEST: ("InvalidSignatureException", 400),
        Refusal.EXPIRED_TOKEN: ("ExpiredTokenException", 400),
        Refusal.THROTTLED: ("ThrottlingException", 400),
        Refusal.TOKEN_REUSED: ("IdempotentParameterMismatch", 400),
        Refusal.INTERNAL: ("InternalServerError", 500),
    }
)
REST_JSON: Codes = MappingProxyType(
    {
        **JSON,
        Refusal.UNKNOWN_OPERATION: ("UnknownOperationException", 404),
        Refusal.UNKNOWN_PARAMETER: ("InvalidParameterException", 400),
        Refusal.MISSING_PARAMETER: ("InvalidParameterException", 400),
        Refusal.INVALID_VALUE: ("InvalidParameterException", 400),
        Refusal.NOT_EMULATED: ("InvalidRequestException", 400),
        Refusal.UNSIGNED: ("MissingAuthenticationTokenException", 403),
        Refusal.UNKNOWN_KEY: ("UnrecognizedClientException", 403),
        Refusal.BAD_SIGNATURE: ("InvalidSignatureException", 403),
        Refusal.EXPIRED_REQUEST: ("InvalidSignatureException", 403),
        Refusal.EXPIRED_TOKEN: ("ExpiredTokenException", 403),
        Refusal.THROTTLED: ("ThrottlingException", 429),
        Refusal.TOKEN_REUSED: ("InvalidRequestException", 400),
        Refusal.INTERNAL: ("ServerException", 500),
    }
)


class RefusedError(Exception):
    """A request that is refused before its operation; which code that is depends on the protocol."""

    def __init__(self, why: Refusal, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message

    def spoken(self, codes: Codes) -> ApiError:
        """As the error of a protocol."""
        code, status = codes[self.why]
        return ApiError(code, self.message, status)
