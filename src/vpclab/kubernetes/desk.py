"""What the study's commands find set in the bastion's shell (walkthrough, W4)."""

from __future__ import annotations

from vpclab.aws.keys import Key
from vpclab.lab.api_access import client_environment
from vpclab.region import Region, Study
from vpclab.region.study import CLUSTER, NODE_GROUP

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
"""Any key will do in the lab."""


def variables(region: Region, study: Study, version: str, key: Key | None) -> dict[str, str]:
    """By name; `version` is Kubernetes', like v1.30.14; `key` is the administrator's, where not any will do."""
    key_id, secret = (key.id, key.secret) if key is not None else (KEY_ID, SECRET)
    api = f"http://ec2.{region.name}.amazonaws.com"
    return {
        **client_environment(api, region.name, region.account, key_id=key_id, secret=secret),
        "CLUSTER_NAME": CLUSTER,
        "NODEGROUP_NAME": NODE_GROUP,
        "KUBERNETES_VERSION": ".".join(version.removeprefix("v").split(".")[:2]),
        "VPCID": study.vpc.id,
        **{f"PubSubnet{n}": subnet.id for n, subnet in enumerate(study.public, start=1)},
        **{f"PrivateSubnet{n}": subnet.id for n, subnet in enumerate(study.private, start=1)},
    }
