"""Signature Version 4: who signed a request, and whether it is so (IAM user guide, "Create a signed AWS API request")."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from vpclab.aws.keys import Keys
from vpclab.aws.protocols.refusals import Refusal, RefusedError
from vpclab.aws.request import RawRequest

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = 300.0
"""Seconds that a request's time may be off."""
LONGEST_PRESIGNED = 604_800
"""Seconds: seven days."""
GLOBAL_SERVICES = frozenset({"iam", "sts"})
"""Those that clients also sign for us-east-1, whatever their region."""
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its signer."""

    key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    presigned: bool

    @property
    def scope(self) -> str:
        """What the signing key is derived for."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def claim(request: RawRequest) -> Claim | None:
    """What the Authorization header or a presigned query string says; None if neither says anything.

    Raises RefusedError for one that says too little.
    """
    header = request.headers.get("authorization", "")
    if header.startswith(ALGORITHM):
        fields = dict(_FIELD.findall(header))
        presigned = False
    elif "X-Amz-Credential" in request.arguments:
        fields = {
            name: request.arguments.get(f"X-Amz-{name}", "")
            for name in ("Credential", "SignedHeaders", "Signature")
        }
        presigned = True
    else:
        return None
    scope = unquote(fields.get("Credential", "")).split("/")
    lacking = [name for name in ("Credential", "SignedHeaders", "Signature") if not fields.get(name)]
    if lacking or len(scope) < 5 or scope[-1] != "aws4_request":
        raise RefusedError(
            Refusal.INCOMPLETE_SIGNATURE,
            f"Authorization requires {', '.join(lacking) or 'a credential of the form KEY/DATE/REGION/SERVICE/aws4_request'}.",
        )
    date, region, service = scope[-4:-1]
    signed = tuple(fields["SignedHeaders"].lower().split(";"))
    return Claim("/".join(scope[:-4]), date, region, service, signed, fields["Signature"], presigned)


def verify(
    request: RawRequest, said: Claim, keys: Keys, region: str, now: float, *, life: float | None = None
) -> None:
    """Whether a known key of the account made the signature, and lately. Raises RefusedError.

    `life`: seconds that it is good for, whatever a presigned request says of that.
    """
    key = keys.find(said.key_id)
    token = _given(request, said, "x-amz-security-token")
    if key is None or (key.token is not None and token != key.token):
        raise RefusedError(Refusal.UNKNOWN_KEY, "The security token included in the request is invalid.")
    if key.expires is not None and key.expires <= now:
        raise RefusedError(Refusal.EXPIRED_TOKEN, "The security token included in the request is expired")
    allowed = {region, "us-east-1"} if said.service in GLOBAL_SERVICES else {region}
    if said.region not in allowed:
        raise RefusedError(
            Refusal.BAD_SIGNATURE, f"Credential should be scoped to a valid region, not '{said.region}'."
        )
    stamp = _given(request, said, "x-amz-date")
    _check_time(request, said, stamp, now, life)
    if not hmac.compare_digest(signature(request, said, stamp, key.secret), said.signature):
        raise RefusedError(
            Refusal.BAD_SIGNATURE,
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        )


def signature(request: RawRequest, said: Claim, stamp: str, secret: str) -> str:
    """What the signature of a request must be."""
    text = "\n".join((ALGORITHM, stamp, said.scope, _sha256(_canonical(request, said).encode())))
    key = f"AWS4{secret}".encode()
    for part in (said.date, said.region, said.service, "aws4_request", text):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key.hex()


def _canonical(request: RawRequest, said: Claim) -> str:
    fields = [part.partition("=")[::2] for part in request.query.split("&") if part]
    if said.presigned:
        fields = [(name, value) for name, value in fields if name != "X-Amz-Signature"]
    # what came may be encoded otherwise than it was signed: AWS encodes anew
    encoded = sorted((_encoded(name), _encoded(value)) for name, value in fields)
    headers = (f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in said.signed_headers)
    return "\n".join(
        (
            request.method,
            quote(request.path or "/", safe="/~"),
            "&".join(f"{name}={value}" for name, value in encoded),
            "".join(headers),
            ";".join(said.signed_headers),
            _sha256(b"" if said.presigned and not request.body else request.body),
        )
    )


def _encoded(part: str) -> str:
    return quote(unquote(part.replace("+", " ")), safe="~")


def _given(request: RawRequest, said: Claim, name: str) -> str:
    """A value that is a header's, or a presigned query string's."""
    if not said.presigned:
        return request.headers.get(name, "")
    title = {"x-amz-date": "X-Amz-Date", "x-amz-security-token": "X-Amz-Security-Token"}[name]
    return request.arguments.get(title, "")


def _check_time(request: RawRequest, said: Claim, stamp: str, now: float, life: float | None) -> None:
    try:
        at = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC).timestamp()
        if life is None:
            life = float(request.arguments.get("X-Amz-Expires", "900")) if said.presigned else SKEW
    except ValueError:
        raise RefusedError(
            Refusal.INCOMPLETE_SIGNATURE, f"Date must be in ISO-8601 'basic format'. Got '{stamp}'."
        ) from None
    if stamp[:8] != said.date or not 0 < life <= LONGEST_PRESIGNED:
        raise RefusedError(
            Refusal.BAD_SIGNATURE,
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version: {stamp}",
        )
    if at > now + SKEW:
        raise RefusedError(
            Refusal.BAD_SIGNATURE,
            f"Signature not yet current: {stamp} is still later than {_spoken(now + SKEW)}",
        )
    if at + life < now:
        raise RefusedError(
            Refusal.EXPIRED_REQUEST, f"Request has expired. {stamp} is now earlier than {_spoken(now - life)}"
        )


def _spoken(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y%m%dT%H%M%SZ")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
