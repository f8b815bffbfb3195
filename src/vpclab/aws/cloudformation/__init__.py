"""CloudFormation on the wire: stacks, change sets, templates."""

from vpclab.aws.cloudformation import change_sets, stacks, templates
from vpclab.aws.cloudformation.clockwork import Stacks, begin
from vpclab.aws.service import Service

SERVICE = Service(
    "cloudformation",
    {**stacks.OPERATIONS, **change_sets.OPERATIONS, **templates.OPERATIONS},
    begin,
)

__all__ = ["SERVICE", "Stacks"]
