"""What a lab begins with: a stack, of the study's template or of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources

from vpclab.aws.cloudformation import Stacks
from vpclab.aws.service import Cloud
from vpclab.cloudformation.stack import Stack
from vpclab.lab.cluster import split_environment
from vpclab.lab.settings import LabSettings
from vpclab.lab.state import LabError
from vpclab.region import ApiError, Study
from vpclab.region.study import BASTION_ADDRESS, CLUSTER, public_cidrs

TEMPLATE = "myeks.yaml"
"""In vpclab.templates."""
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]


def study_template() -> str:
    """The study's template."""
    return (resources.files("vpclab") / "templates" / TEMPLATE).read_text()


def study_parameters(settings: LabSettings) -> dict[str, str]:
    """What the settings say, as the study's template has it."""
    public = public_cidrs(settings.subnet_bits)
    configured, _ = split_environment(settings.agent_env)
    return {
        "WorkerNodeCount": str(settings.nodes),
        "WorkerNodeInstanceType": settings.instance_type,
        "BastionAddress": str(BASTION_ADDRESS) if BASTION_ADDRESS in public[0] else "",
        "VpcCniConfiguration": json.dumps({"env": configured}) if configured else "",
        **{f"PublicSubnet{n}Block": str(cidr) for n, cidr in enumerate(public, start=1)},
    }


def deploy(cloud: Cloud, settings: LabSettings) -> Stack:
    """Make the stack; everything in it is there when this returns. Raises LabError with CloudFormation's reasons."""
    own = settings.template is not None
    given = {**({} if own else study_parameters(settings)), **settings.parameters}
    asked = {
        "StackName": CLUSTER,
        "TemplateBody": settings.template if own else study_template(),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        "Capabilities": CAPABILITIES,
        "OnFailure": "DO_NOTHING",
    }
    try:
        cloud.call("cloudformation", "CreateStack", asked)
    except ApiError as error:
        raise LabError(f"CloudFormation refuses the template: {error.message}") from None
    stack = cloud.kept(Stacks).stack(CLUSTER)
    if stack.status != "CREATE_COMPLETE":
        reasons = [
            f"{one.logical_id} ({one.type}): {one.reason or one.status}"
            for one in stack.events
            if one.status.endswith("_FAILED") and one.physical_id != stack.id
        ]
        waiting = [one.logical_id for one in stack.resources.values() if one.status.endswith("IN_PROGRESS")]
        told = "\n".join(reasons) or f"it waits for {', '.join(waiting)}"
        raise LabError(f"the stack {CLUSTER} is {stack.status}:\n{told}")
    return stack


def study_of(cloud: Cloud, stack: Stack) -> Study:
    """The parts of a stack of the study's template."""
    region = cloud.region
    ids: Mapping[str, str] = {name: one.physical_id for name, one in stack.resources.items()}
    return Study(
        region.vpc(ids["Vpc"]),
        tuple(region.subnet(ids[f"PublicSubnet{n}"]) for n in (1, 2, 3)),
        tuple(region.subnet(ids[f"PrivateSubnet{n}"]) for n in (1, 2, 3)),
        region.internet_gateways[ids["InternetGateway"]],
        ids["BastionSecurityGroup"],
        ids["NodeSecurityGroup"],
    )
