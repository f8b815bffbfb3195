"""What IMDS tells as JSON: the instance's identity, its profile, its role's credentials."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from vpclab.region.readers import IMAGE_ID
from vpclab.region.region import Region
from vpclab.region.values import Instance

CREDENTIALS_LIFE = 6 * 3600.0
"""Seconds; what EC2 gives roles on instances."""
CREDENTIALS_STEP = 3600.0
"""How often they are renewed."""
ARCHITECTURE = "x86_64"


def identity_document(region: Region, instance: Instance) -> str:
    """The instance identity document."""
    document = {
        "accountId": region.account,
        "architecture": ARCHITECTURE,
        "availabilityZone": instance.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": instance.image_id or IMAGE_ID,
        "instanceId": instance.id,
        "instanceType": instance.type,
        "kernelId": None,
        "marketplaceProductCodes": None,
        "pendingTime": _stamp(instance.launched_at),
        "privateIp": str(region.primary_eni(instance.id).primary),
        "ramdiskId": None,
        "region": region.name,
        "version": "2017-09-30",
    }
    return _spelled(document)


def profile_document(region: Region, role: str, now: float) -> str:
    """iam/info."""
    arn = f"arn:aws:iam::{region.account}:instance-profile/{role}"
    profile_id = "AIPA" + _hex(f"{region.account}/{role}", 16).upper()
    return _spelled(
        {
            "Code": "Success",
            "LastUpdated": _stamp(now),
            "InstanceProfileArn": arn,
            "InstanceProfileId": profile_id,
        }
    )


@dataclass(frozen=True, slots=True)
class RoleKey:
    """Temporary credentials of an instance's role."""

    id: str
    secret: str
    token: str
    issued: float
    """Seconds since the epoch."""

    @property
    def expires(self) -> float:
        """When they are no good any more."""
        return self.issued + CREDENTIALS_LIFE


def role_keys(instance: Instance, role: str, now: float) -> tuple[RoleKey, ...]:
    """The credentials that an instance has been given and that are still good, newest first; new ones every hour."""
    newest = now - now % CREDENTIALS_STEP
    steps = int(CREDENTIALS_LIFE // CREDENTIALS_STEP)
    return tuple(_role_key(instance, role, newest - step * CREDENTIALS_STEP) for step in range(steps))


def _role_key(instance: Instance, role: str, issued: float) -> RoleKey:
    seed = f"{instance.id}/{role}/{issued}"
    return RoleKey(
        "ASIA" + _hex(f"key/{seed}", 16).upper(),
        _hex(f"secret/{seed}", 40),
        _hex(f"token/{seed}", 64),
        issued,
    )


def credentials_document(instance: Instance, role: str, now: float) -> str:
    """The role's credentials."""
    key = role_keys(instance, role, now)[0]
    return _spelled(
        {
            "Code": "Success",
            "LastUpdated": _stamp(key.issued),
            "Type": "AWS-HMAC",
            "AccessKeyId": key.id,
            "SecretAccessKey": key.secret,
            "Token": key.token,
            "Expiration": _stamp(key.expires),
        }
    )


def _spelled(document: Mapping[str, object]) -> str:
    """As EC2 writes it: with a space before the colon too."""
    return json.dumps(document, indent=2, separators=(",", " : "))


def _stamp(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hex(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
