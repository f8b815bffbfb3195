"""What EC2 says of a subnet."""

from __future__ import annotations

from vpccni.agent.settings import Settings
from vpccni.aws.imds import Imds, ImdsError, node_facts
from vpccni.cli.cloud.ec2 import NotAllowedError, Questions, by
from vpccni.cli.errors import CliError
from vpccni.cli.explain.subnet import Subnet, read


def subnet_by_ec2(subnet: str, settings: Settings, ec2: str | None, endpoint: str | None) -> Subnet:
    """A subnet of the node's region; `ec2` and `endpoint` (IMDS) are URLs, if not the agent's. Raises CliError."""
    imds = Imds(endpoint or settings.imds_endpoint, timeout=2.0)
    try:
        region = node_facts(imds).region
    except ImdsError as error:
        raise CliError(str(error)) from None
    finally:
        imds.close()
    questions = Questions(region, ec2 or settings.ec2_endpoint)
    try:
        [described] = questions.ask("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
        enis = questions.all(
            "DescribeNetworkInterfaces", "NetworkInterfaces", Filters=[by("subnet-id", subnet)]
        )
    except NotAllowedError as error:
        raise CliError(str(error)) from None
    try:
        reserved = questions.ask("GetSubnetCidrReservations", SubnetId=subnet)["SubnetIpv4CidrReservations"]
    except NotAllowedError:  # the CNI's own policy has not got it; the rest is right without
        reserved = []
    finally:
        questions.close()
    return read(dict(described), map(dict, enis), map(dict, reserved))
