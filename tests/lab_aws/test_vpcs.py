"""VPCs and internet gateways by a real client."""

from tests.lab_aws.conftest import Cloud, client_error


def test_from_nothing_to_a_public_subnet_and_back(cloud: Cloud) -> None:
    ec2 = cloud.client
    named = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "mine"}]}]
    made = ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=named)["Vpc"]
    vpc = made["VpcId"]
    assert (made["State"], made["CidrBlock"]) == ("pending", "10.9.0.0/16")
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Tags"] == [{"Key": "Name", "Value": "mine"}]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    attribute = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert attribute["EnableDnsHostnames"] == {"Value": True}
    gateway = ec2.create_internet_gateway()["InternetGateway"]
    assert gateway["Attachments"] == []
    igw = gateway["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    here = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    [found] = ec2.describe_internet_gateways(Filters=here)["InternetGateways"]
    assert found["Attachments"] == [{"State": "available", "VpcId": vpc}]
    with client_error("DependencyViolation", f"The vpc '{vpc}' has dependencies and cannot be deleted."):
        ec2.delete_vpc(VpcId=vpc)
    ec2.detach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=igw)
    ec2.delete_vpc(VpcId=vpc)
    with client_error("InvalidVpcID.NotFound", f"'{vpc}'"):
        ec2.delete_vpc(VpcId=vpc)
