"""Every variable of the original (spec 2) that the agent reads: setting it changes what the agent does, or is reported."""

from dataclasses import fields

import pytest

from vpccni.agent.kubernetes import connect
from vpccni.agent.settings import Settings, parse_settings

EFFECTS = {
    "AWS_MANAGE_ENIS_NON_SCHEDULABLE": ("true", "manage_unschedulable"),
    "AWS_VPC_CNI_NODE_PORT_SUPPORT": ("false", "node_port_support"),
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": ("true", "custom_networking"),
    "ENI_CONFIG_ANNOTATION_DEF": ("a/b", "eni_config_annotation"),
    "ENI_CONFIG_LABEL_DEF": ("a/b", "eni_config_label"),
    "HOST_CNI_BIN_PATH": ("/bin", "host_bin_dir"),
    "HOST_CNI_CONFDIR_PATH": ("/conf", "host_conf_dir"),
    "AWS_VPC_ENI_MTU": ("1500", "eni_mtu"),
    "POD_MTU": ("1300", "pod_mtu"),
    "AWS_VPC_K8S_CNI_EXTERNALSNAT": ("true", "external_snat"),
    "AWS_VPC_K8S_CNI_RANDOMIZESNAT": ("none", "randomize_snat"),
    "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": ("10.9.0.0/16", "exclude_snat_cidrs"),
    "AWS_EXTERNAL_SERVICE_CIDRS": ("10.9.0.0/16", "external_service_cidrs"),
    "AWS_VPC_K8S_CNI_CONNMARK": ("0x40", "connmark"),
    "AWS_VPC_K8S_CNI_VETHPREFIX": ("abc", "veth_prefix"),
    "WARM_ENI_TARGET": ("2", "warm"),
    "WARM_IP_TARGET": ("2", "warm"),
    "MINIMUM_IP_TARGET": ("2", "warm"),
    "WARM_PREFIX_TARGET": ("2", "warm"),
    "MAX_ENI": ("2", "max_enis"),
    "VPC_CNI_MAX_PODS": ("500", "max_pods"),
    "AWS_VPC_K8S_CNI_LOGLEVEL": ("ERROR", "log_level"),
    "AWS_VPC_K8S_CNI_LOG_FILE": ("stderr", "log_file"),
    "AWS_VPC_K8S_PLUGIN_LOG_FILE": ("stderr", "plugin_log_file"),
    "AWS_VPC_K8S_PLUGIN_LOG_LEVEL": ("ERROR", "plugin_log_level"),
    "INTROSPECTION_BIND_ADDRESS": ("127.0.0.1:1", "introspection_address"),
    "DISABLE_INTROSPECTION": ("true", "disable_introspection"),
    "DISABLE_METRICS": ("true", "disable_metrics"),
    "ADDITIONAL_ENI_TAGS": ('{"a": "b"}', "additional_eni_tags"),
    "CLUSTER_NAME": ("study", "cluster_name"),
    "CLUSTER_ENDPOINT": ("https://example", "cluster_endpoint"),
    "ENABLE_SUBNET_DISCOVERY": ("false", "subnet_discovery"),
    "ENABLE_PREFIX_DELEGATION": ("true", "prefix_delegation"),
    "DISABLE_NETWORK_RESOURCE_PROVISIONING": ("true", "provisioning"),
    "ENABLE_IMDS_ONLY_MODE": ("true", "imds_only"),
    "ENABLE_BANDWIDTH_PLUGIN": ("true", "bandwidth_plugin"),
    "ANNOTATE_POD_IP": ("true", "annotate_pod_ip"),
    "IP_COOLDOWN_PERIOD": ("5", "cooldown"),
    "VPC_CNI_SURPLUS_PERIOD": ("5", "surplus_lasts"),
    "DISABLE_POD_V6": ("true", "disable_pod_v6"),
    "NETWORK_POLICY_ENFORCING_MODE": ("strict", "network_policy_mode"),
    "ENABLE_MULTI_NIC": ("true", "multi_nic"),
    "AWS_EC2_ENDPOINT": ("http://x", "ec2_endpoint"),
    "HTTP_TIMEOUT": ("20", "http_timeout"),
    "DISABLE_LEAKED_ENI_CLEANUP": ("true", "leaked_eni_cleanup"),
    "MANAGE_UNTAGGED_ENI": ("false", "manage_untagged_enis"),
    "AWS_VPC_K8S_CNI_BACKING_STORE": ("/x/ipam.json", "checkpoint"),
    "MY_NODE_NAME": ("node-a", "node_name"),
    "MY_POD_NAME": ("aws-node-x", "pod_name"),
    "ENABLE_V6_EGRESS": ("true", "v6_egress"),
    "ENABLE_V4_EGRESS": ("false", "v4_egress"),
    "ENABLE_IPv6": ("true", "ipv6"),
    "AWS_VPC_K8S_EGRESS_V6_PLUGIN_LOG_FILE": ("/x/egress.log", "egress_log_file"),
    "ENABLE_POD_ENI": ("true", "pod_eni"),
    "POD_SECURITY_GROUP_ENFORCING_MODE": ("standard", "enforcing"),
    "VPC_CNI_VERSION": ("v1.23.1", "client_version"),
}


@pytest.mark.parametrize(("name", "value", "field"), [(name, *what) for name, what in EFFECTS.items()])
def test_a_variable_changes_its_setting_and_nothing_else(name: str, value: str, field: str) -> None:
    settings, bad = parse_settings({name: value})
    assert bad == ()
    changed = {f.name for f in fields(Settings) if getattr(settings, f.name) != getattr(Settings(), f.name)}
    together = {
        "ENABLE_IMDS_ONLY_MODE": {"provisioning"},
        "AWS_VPC_ENI_MTU": {"pod_mtu"},
        "ENABLE_PREFIX_DELEGATION": {"warm"},
        "ENABLE_IPv6": {"egress_log_file", "leaked_eni_cleanup"},
    }
    assert changed == {field} | together.get(name, set())


def test_without_a_cluster_in_the_environment_there_is_no_client() -> None:
    assert connect(Settings(), {}) is None
