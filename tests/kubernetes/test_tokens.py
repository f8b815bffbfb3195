"""A token of `aws eks get-token` is whose key has signed it, for one cluster and for a quarter of an hour."""

from __future__ import annotations

import base64
import time

import pytest

from tests.kubernetes.conftest import signed_token
from vpclab.aws.keys import Key, Keys
from vpclab.kubernetes.tokens import LIFE, PREFIX, TokenError, caller
from vpclab.region import Region

ROLE = "arn:aws:sts::111122223333:assumed-role/dev/me"


@pytest.fixture
def keys() -> Keys:
    known = Keys(Region())
    known.add(Key("ASIATEMPORARY", "hidden", ROLE, "AROA1:me", "session", time.time() + 3600))
    return known


def whose(token: str, keys: Keys, *, later: float = 0.0, strict: bool = True, cluster: str = "myeks") -> str:
    return caller(token, cluster, keys, "ap-northeast-2", time.time() + later, strict=strict).arn


def test_it_is_whose_key_has_signed_it(keys: Keys) -> None:
    admin = keys.admin
    assert whose(signed_token(admin.id, admin.secret), keys) == admin.arn
    assert whose(signed_token("ASIATEMPORARY", "hidden", "session"), keys) == ROLE
    # its URL says a minute, the authenticator takes it for a quarter of an hour
    assert whose(signed_token(admin.id, admin.secret), keys, later=LIFE - 60) == admin.arn


def test_a_key_that_nobody_gave_out_is_the_administrator_s_where_any_key_will_do(keys: Keys) -> None:
    assert whose(signed_token("AKIAANY", "any"), keys, strict=False) == keys.admin.arn
    with pytest.raises(TokenError, match="The security token included in the request is invalid"):
        whose(signed_token("AKIAANY", "any"), keys)


@pytest.mark.parametrize("strict", [False, True])
def test_a_key_of_the_account_is_always_proven(keys: Keys, strict: bool) -> None:
    with pytest.raises(TokenError, match="signature we calculated does not match"):
        whose(signed_token(keys.admin.id, "wrong"), keys, strict=strict)
    with pytest.raises(TokenError, match="is invalid"):
        whose(signed_token("ASIATEMPORARY", "hidden", "another"), keys, strict=strict)
    with pytest.raises(TokenError, match="does not match"):
        whose(signed_token(keys.admin.id, keys.admin.secret), keys, strict=strict, cluster="another")


def test_an_old_one_lets_nobody_in(keys: Keys) -> None:
    with pytest.raises(TokenError, match="has expired"):
        whose(signed_token(keys.admin.id, keys.admin.secret), keys, later=LIFE + 60)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "begins with k8s-aws-v1"),
        ("eyJhbGciOi", "begins with k8s-aws-v1"),
        (PREFIX + "x" * 20_000, "begins with k8s-aws-v1"),
        (PREFIX + "!", "not one of GetCallerIdentity"),
        (PREFIX + base64.urlsafe_b64encode(b"\xff\xff").decode(), "not a URL"),
        (PREFIX + base64.urlsafe_b64encode(b"file:///etc/passwd").decode(), "not one of GetCallerIdentity"),
        (PREFIX + base64.urlsafe_b64encode(b"http://x/?Action=GetCallerIdentity").decode(), "not one that STS's caller"),
    ],
)  # fmt: skip
def test_anything_else_lets_nobody_in(keys: Keys, token: str, said: str) -> None:
    with pytest.raises(TokenError, match=said):
        whose(token, keys, strict=False)


def test_a_url_that_is_signed_for_something_else_lets_nobody_in(keys: Keys) -> None:
    key = keys.admin
    with pytest.raises(TokenError, match="not signed for x-k8s-aws-id"):
        whose(signed_token(key.id, key.secret, cluster=None), keys)
    with pytest.raises(TokenError, match="not one that STS's caller"):
        whose(signed_token(key.id, key.secret, service="ec2"), keys)
    with pytest.raises(TokenError, match="not one of GetCallerIdentity"):
        whose(signed_token(key.id, key.secret, action="AssumeRole"), keys)
