"""Launch templates, key pairs, images, offerings and what else a region has, with a real client; and waiters."""

from __future__ import annotations

from tests.lab_aws.conftest import Cloud, aws_client, client_error

from vpccni.ipam.limits import known_types


def test_an_instance_from_a_launch_template(cloud: Cloud) -> None:
    ec2 = cloud.client
    subnet = cloud.study.public[0].id
    data = {"InstanceType": "t3.small", "ImageId": "ami-1", "UserData": "aGVsbG8=", "TagSpecifications": [
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "templated"}]}]}  # fmt: skip
    made = ec2.create_launch_template(LaunchTemplateName="lt", LaunchTemplateData=data)["LaunchTemplate"]
    assert (made["DefaultVersionNumber"], made["LatestVersionNumber"]) == (1, 1)
    with client_error("InvalidLaunchTemplateName.AlreadyExistsException"):
        ec2.create_launch_template(LaunchTemplateName="lt", LaunchTemplateData=data)
    which = {"LaunchTemplateId": made["LaunchTemplateId"]}
    second = ec2.create_launch_template_version(
        **which, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.medium"}
    )["LaunchTemplateVersion"]
    assert second["LaunchTemplateData"]["ImageId"] == "ami-1"
    versions = ec2.describe_launch_template_versions(**which)["LaunchTemplateVersions"]
    assert [(one["VersionNumber"], one["DefaultVersion"]) for one in versions] == [(2, False), (1, True)]

    def launched(version: str | None) -> tuple[str, str]:
        template = which if version is None else which | {"Version": version}
        [one] = ec2.run_instances(MinCount=1, MaxCount=1, SubnetId=subnet, LaunchTemplate=template)[
            "Instances"
        ]
        return one["InstanceType"], next(tag["Value"] for tag in one["Tags"] if tag["Key"] == "Name")

    assert launched(None) == ("t3.small", "templated")
    assert launched("$Latest") == ("t3.medium", "templated")
    ec2.modify_launch_template(**which, DefaultVersion="2")
    assert launched(None) == ("t3.medium", "templated")
    with client_error("InvalidLaunchTemplateId.VersionNotFound"):
        launched("7")
    ec2.delete_launch_template(**which)
    with client_error("InvalidLaunchTemplateId.NotFound"):
        ec2.describe_launch_template_versions(**which)
    with client_error("InvalidLaunchTemplateName.NotFoundException"):
        ec2.describe_launch_templates(LaunchTemplateNames=["lt"])


def test_key_pairs(cloud: Cloud) -> None:
    ec2 = cloud.client
    ec2.import_key_pair(KeyName="me", PublicKeyMaterial=b"ssh-ed25519 AAAA me")
    with client_error("InvalidKeyPair.Duplicate", "The keypair already exists: me"):
        ec2.import_key_pair(KeyName="me", PublicKeyMaterial=b"ssh-ed25519 AAAA me")
    with client_error("InvalidKey.Format"):
        ec2.import_key_pair(KeyName="you", PublicKeyMaterial=b"nonsense")
    [one] = ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": ["m*"]}])["KeyPairs"]
    assert (one["KeyName"], one["KeyType"]) == ("me", "ed25519")
    ec2.delete_key_pair(KeyName="me")
    with client_error("InvalidKeyPair.NotFound", "The key pair 'me' does not exist"):
        ec2.describe_key_pairs(KeyNames=["me"])


def test_images_are_those_that_the_public_parameters_name(cloud: Cloud) -> None:
    name = "/aws/service/eks/optimized-ami/1.29/amazon-linux-2023/arm64/standard/recommended/image_id"
    ami = aws_client("ssm", cloud.url).get_parameter(Name=name)["Parameter"]["Value"]
    [image] = cloud.client.describe_images(ImageIds=[ami])["Images"]
    assert (image["Architecture"], image["OwnerId"]) == ("arm64", "602401143452")
    named = [{"Name": "name", "Values": ["amazon-eks-node-1.29-*"]}]
    assert len(cloud.client.describe_images(Owners=["amazon"], Filters=named)["Images"]) == 1
    assert cloud.client.describe_images(Owners=["self"])["Images"] == []
    with client_error("InvalidAMIID.NotFound", "The image id '[ami-0]' does not exist"):
        cloud.client.describe_images(ImageIds=["ami-0"])


def test_every_type_is_described_and_offered_in_every_zone(cloud: Cloud) -> None:
    pages = cloud.client.get_paginator("describe_instance_types").paginate()
    types = [one["InstanceType"] for page in pages for one in page["InstanceTypes"]]
    assert sorted(types) == sorted(known_types())
    assert len(types) > 1000
    zone = [
        {"Name": "location", "Values": ["ap-northeast-2c"]},
        {"Name": "instance-type", "Values": ["t3.*"]},
    ]
    offered = cloud.client.describe_instance_type_offerings(LocationType="availability-zone", Filters=zone)
    assert {one["InstanceType"] for one in offered["InstanceTypeOfferings"]} >= {"t3.medium", "t3.large"}
    arm = [{"Name": "processor-info.supported-architecture", "Values": ["arm64"]}]
    found = [
        one["InstanceType"]
        for page in cloud.client.get_paginator("describe_instance_types").paginate(Filters=arm)
        for one in page["InstanceTypes"]
    ]
    assert {"t4g.medium", "m6g.large", "c7gn.large", "x2gd.medium", "a1.large"} <= set(found)
    assert not {"g4dn.xlarge", "t3.medium", "p4d.24xlarge", "m5.large"} & set(found)
    with client_error("InvalidParameterValue", "Expecting 5 to 100"):
        cloud.client.describe_instance_types(MaxResults=101)


def test_regions_quotas_and_what_every_vpc_has(cloud: Cloud) -> None:
    ec2 = cloud.client
    assert "ap-northeast-2" in [one["RegionName"] for one in ec2.describe_regions()["Regions"]]
    with client_error("InvalidParameterValue", "Invalid region names: [mars-1]"):
        ec2.describe_regions(RegionNames=["mars-1"])
    [quota] = ec2.describe_account_attributes(AttributeNames=["supported-platforms"])["AccountAttributes"]
    assert quota["AttributeValues"] == [{"AttributeValue": "VPC"}]
    vpc = ec2.describe_vpcs(VpcIds=[cloud.study.vpc.id])["Vpcs"][0]
    [options] = ec2.describe_dhcp_options(DhcpOptionsIds=[vpc["DhcpOptionsId"]])["DhcpOptions"]
    assert options["DhcpConfigurations"][1]["Values"] == [{"Value": "AmazonProvidedDNS"}]
    acl = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["NetworkAcls"][0]
    assert len(acl["Associations"]) == 6
    assert ec2.describe_vpc_endpoints()["VpcEndpoints"] == []
    with client_error("InvalidNetworkAclID.NotFound"):
        ec2.describe_network_acls(NetworkAclIds=["acl-0"])


def test_waiters_and_attributes_of_instances(cloud: Cloud) -> None:
    ec2 = cloud.client
    ec2.get_waiter("instance_running").wait(InstanceIds=[cloud.node])
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[cloud.node])
    ec2.modify_instance_attribute(InstanceId=cloud.node, SourceDestCheck={"Value": False})
    attribute = ec2.describe_instance_attribute(InstanceId=cloud.node, Attribute="sourceDestCheck")
    assert attribute["SourceDestCheck"] == {"Value": False}
    ec2.modify_instance_attribute(InstanceId=cloud.node, Groups=[cloud.study.bastion_group])
    groups = ec2.describe_instance_attribute(InstanceId=cloud.node, Attribute="groupSet")["Groups"]
    assert [one["GroupId"] for one in groups] == [cloud.study.bastion_group]
    ec2.stop_instances(InstanceIds=[cloud.node])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[cloud.node])
    assert ec2.describe_instance_status(InstanceIds=[cloud.node])["InstanceStatuses"] == []
    everything = ec2.describe_instance_status(InstanceIds=[cloud.node], IncludeAllInstances=True)
    assert [one["InstanceState"]["Name"] for one in everything["InstanceStatuses"]] == ["stopped"]
    ec2.terminate_instances(InstanceIds=[cloud.node])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[cloud.node])
