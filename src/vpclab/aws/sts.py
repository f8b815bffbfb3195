"""STS: who one is, and temporary keys."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import re
from typing import Any

from vpclab.aws.keys import Key
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, Service, operation
from vpclab.region.values import ApiError

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]{1,64})")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
HOUR = 3600
SHORTEST, LONGEST = 900, 12 * HOUR
"""Seconds that a role's session may last (STS API reference, AssumeRole)."""
LONGEST_SESSION = 36 * HOUR
"""Of GetSessionToken."""


def get_caller_identity(context: Context, _: Parameters) -> dict[str, Any]:
    """GetCallerIdentity."""
    caller = context.caller
    return {"UserId": caller.user_id, "Account": context.region.account, "Arn": caller.arn}


def assume_role(context: Context, p: Parameters) -> dict[str, Any]:
    """AssumeRole: any caller may have any role of the account; what a policy would say is not looked at."""
    return _assume(context, p, p["RoleArn"], HOUR)


def assume_role_with_web_identity(context: Context, p: Parameters) -> dict[str, Any]:
    """AssumeRoleWithWebIdentity: whoever the token says it is; its signature is not looked at."""
    claims = _claims(p["WebIdentityToken"])
    answer = _assume(context, p, p["RoleArn"], HOUR)
    audience = claims.get("aud")
    return answer | {
        "SubjectFromWebIdentityToken": str(claims.get("sub", "")),
        "Audience": str(audience[0] if isinstance(audience, list) and audience else audience or ""),
        "Provider": str(claims.get("iss", "")),
    }


def get_session_token(context: Context, p: Parameters) -> dict[str, Any]:
    """GetSessionToken: temporary keys of the caller's own."""
    caller = context.caller
    life = _duration(p, 12 * HOUR, LONGEST_SESSION)
    return {"Credentials": _issue(context, caller.arn, caller.user_id, life)}


def _assume(context: Context, p: Parameters, role_arn: str, life: int) -> dict[str, Any]:
    match = _ROLE.fullmatch(role_arn)
    if match is None:
        raise ApiError("ValidationError", f"{role_arn} is invalid")
    account, role = match.groups()
    session = p["RoleSessionName"]
    if _SESSION_NAME.fullmatch(session) is None:
        raise ApiError(
            "ValidationError",
            f"1 validation error detected: Value '{session}' at 'roleSessionName' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\w+=,.@-]*",
        )
    arn = f"arn:aws:sts::{account}:assumed-role/{role}/{session}"
    role_id = "AROA" + _hex(f"{account}/{role}", 17).upper()
    credentials = _issue(context, arn, f"{role_id}:{session}", _duration(p, life, LONGEST))
    return {
        "Credentials": credentials,
        "AssumedRoleUser": {"AssumedRoleId": f"{role_id}:{session}", "Arn": arn},
    }


def _issue(context: Context, arn: str, user_id: str, life: int) -> dict[str, Any]:
    seed = f"{arn}/{context.request_id}"
    expires = context.region.now + life
    key = Key(
        "ASIA" + _hex(f"key/{seed}", 16).upper(),
        _hex(f"secret/{seed}", 40),
        arn,
        user_id,
        _hex(f"token/{seed}", 64) * 4,
        expires,
    )
    context.cloud.keys.add(key)
    return {
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "SessionToken": key.token,
        "Expiration": dt.datetime.fromtimestamp(expires, dt.UTC),
    }


def _duration(p: Parameters, usual: int, most: int) -> int:
    seconds = int(p.get("DurationSeconds", usual))
    if not SHORTEST <= seconds <= most:
        bound = "greater than or equal to 900" if seconds < SHORTEST else f"less than or equal to {most}"
        raise ApiError(
            "ValidationError",
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value {bound}",
        )
    return seconds


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        if len(parts) == 3 and isinstance(claims, dict):
            return claims
    except (ValueError, IndexError, binascii.Error):
        pass
    raise ApiError(
        "InvalidIdentityToken",
        "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
    )


def _hex(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


SERVICE = Service(
    "sts",
    {
        "GetCallerIdentity": operation(get_caller_identity),
        "AssumeRole": operation(
            assume_role,
            "RoleArn", "RoleSessionName", "DurationSeconds", "ExternalId", "Policy", "PolicyArns", "Tags",
        ),
        "AssumeRoleWithWebIdentity": operation(
            assume_role_with_web_identity, "RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds"
        ),
        "GetSessionToken": operation(get_session_token, "DurationSeconds"),
    },
)  # fmt: skip
