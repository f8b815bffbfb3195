from ipaddress import IPv4Address, IPv4Network

from vpccni.agent.rpc.backend import node_config
from vpccni.agent.settings import parse_settings
from vpccni.aws.imds import NodeFacts

FACTS = NodeFacts(
    instance_id="i-1",
    instance_type="m5.large",
    zone="eu-north-1a",
    region="eu-north-1",
    vpc_id="vpc-1",
    primary_mac="02:00:00:00:00:01",
    primary_ip=IPv4Address("10.0.0.10"),
    vpc_cidrs=(IPv4Network("10.0.0.0/16"), IPv4Network("100.64.0.0/16")),
    security_groups=("sg-1",),
)


def test_an_empty_environment_takes_any_plugin_and_asks_for_no_policies() -> None:
    node = node_config(parse_settings({})[0], FACTS)
    assert (node.client_version, node.network_policy_mode) == ("", "")
    assert node.direct_cidrs == ("10.0.0.0/16", "100.64.0.0/16")
    assert (node.instance_id, node.region, node.node_address) == ("i-1", "eu-north-1", FACTS.primary_ip)


def test_what_the_environment_says_reaches_the_answers() -> None:
    environ = {
        "VPC_CNI_VERSION": "v1.23.1",
        "NETWORK_POLICY_ENFORCING_MODE": "Strict",
        "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "10.12.0.0/16",
    }
    node = node_config(parse_settings(environ)[0], FACTS)
    assert (node.client_version, node.network_policy_mode) == ("v1.23.1", "strict")
    assert node.direct_cidrs == ("10.0.0.0/16", "100.64.0.0/16", "10.12.0.0/16")
    assert not node.external_snat
    outside = node_config(parse_settings({**environ, "AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"})[0], FACTS)
    assert outside.external_snat
    assert outside.direct_cidrs == ("10.0.0.0/16", "100.64.0.0/16")
