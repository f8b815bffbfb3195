"""Whose a token of `aws eks get-token` is: a presigned GetCallerIdentity, which proves that one has a key and does not give it away.

The format is aws-iam-authenticator's, "API Authorization from Outside a Cluster" and its v1 token.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import urlsplit

from vpclab.aws.keys import Key, Keys
from vpclab.aws.protocols.refusals import RefusedError
from vpclab.aws.request import RawRequest
from vpclab.aws.sigv4 import claim, verify

PREFIX = "k8s-aws-v1."
LIFE = 900.0
"""Seconds from its date on; what the URL says of its own expiry is shorter and not looked at."""
CLUSTER_HEADER = "x-k8s-aws-id"
LONGEST = 16_384
"""Characters: more is not read."""


class TokenError(Exception):
    """Nobody is let in for this token; the text says why."""


def caller(token: str, cluster: str, keys: Keys, region: str, now: float, *, strict: bool) -> Key:
    """Whose key has signed it, for this cluster and lately.

    A key of the account's is always proven; one that nobody gave out is the administrator's, as for the lab's AWS, unless `strict`.

    Raises:
        TokenError: it is no such token, or for another cluster, or too old, or not signed by the key that it names.
    """
    request = _presigned(token, cluster)
    try:
        said = claim(request)
        if said is None or not said.presigned or said.service != "sts":
            raise TokenError("the URL in the token is not one that STS's caller has signed")
        lacking = {"host", CLUSTER_HEADER} - set(said.signed_headers)
        if lacking:
            raise TokenError(f"the URL in the token is not signed for {', '.join(sorted(lacking))}")
        if strict or keys.find(said.key_id) is not None:
            verify(request, said, keys, region, now, life=LIFE)
    except RefusedError as error:
        raise TokenError(f"STS would refuse the URL in the token: {error}") from error
    return keys.whose(said.key_id)


def _presigned(token: str, cluster: str) -> RawRequest:
    """The request that the URL in the token is of."""
    if not token.startswith(PREFIX) or len(token) > LONGEST:
        raise TokenError(f"a token of aws eks get-token begins with {PREFIX}")
    text = token.removeprefix(PREFIX)
    try:
        url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    except (binascii.Error, ValueError):
        raise TokenError("what is in the token is not a URL") from None
    headers = {"host": url.netloc, CLUSTER_HEADER: cluster}
    request = RawRequest("GET", url.path or "/", url.query, headers)
    if url.scheme not in ("http", "https") or request.arguments.get("Action") != "GetCallerIdentity":
        raise TokenError("the URL in the token is not one of GetCallerIdentity")
    return request
