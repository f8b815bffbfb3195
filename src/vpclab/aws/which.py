"""Which service a request is for."""

from __future__ import annotations

from collections.abc import Container
from types import MappingProxyType

from vpclab.aws.protocols.refusals import RefusedError
from vpclab.aws.request import RawRequest
from vpclab.aws.sigv4 import claim
from vpclab.region.values import ApiError

_VERSIONS = MappingProxyType(
    {
        "2016-11-15": "ec2",
        "2011-06-15": "sts",
        "2010-05-15": "cloudformation",
        "2010-05-08": "iam",
        "2011-01-01": "autoscaling",
    }
)
"""By the API version that a form names."""
_TARGETS = MappingProxyType({"AmazonSSM": "ssm", "Logs_20140328": "logs"})
"""By what stands before the operation in X-Amz-Target."""
_PATHS = MappingProxyType({"clusters": "eks", "addons": "eks", "cluster-registrations": "eks"})
"""By the first part of a path."""


def service_of(request: RawRequest, served: Container[str]) -> str:
    """What the request was signed for, else what its Host, its target, its version or its path says; "" if nothing does."""
    signed_for = _signed_for(request)
    if signed_for is not None:
        return signed_for
    host = _host(request)
    if host in served:
        return host
    target = request.headers.get("x-amz-target", "").partition(".")[0]
    version = _version(request)
    first = request.path.strip("/").partition("/")[0]
    return _TARGETS.get(target) or _VERSIONS.get(version) or _PATHS.get(first) or ""


def _signed_for(request: RawRequest) -> str | None:
    try:
        said = claim(request)
    except RefusedError:
        return None
    return None if said is None else said.service


def _host(request: RawRequest) -> str:
    """The first label: ec2.ap-northeast-2.amazonaws.com, sts.amazonaws.com, eks.ap-northeast-2.api.aws."""
    return request.headers.get("host", "").partition(":")[0].partition(".")[0].lower()


def _version(request: RawRequest) -> str:
    try:
        return request.form.get("Version", "") if request.path in ("", "/") else ""
    except ApiError:
        return ""
