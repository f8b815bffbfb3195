"""IAM: records that other services and people's templates refer to. Nothing here decides who may do what."""

from vpclab.aws.iam import oidc_providers, policies, profiles, roles
from vpclab.aws.iam.records import Records
from vpclab.aws.service import Service

SERVICE = Service(
    "iam",
    {**oidc_providers.OPERATIONS, **policies.OPERATIONS, **profiles.OPERATIONS, **roles.OPERATIONS},
    lambda cloud: cloud.keep(Records(cloud.region)),
)

__all__ = ["SERVICE", "Records"]
