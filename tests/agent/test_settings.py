import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.agent.settings import LogLevel, RandomizeSnat, Settings, impossible, parse_settings


def test_an_empty_environment_gives_the_defaults_and_no_complaint() -> None:
    settings, bad = parse_settings({})
    assert bad == ()
    assert settings == Settings()


def test_every_bad_value_is_reported_at_once_with_what_is_used_instead() -> None:
    settings, bad = parse_settings(
        {
            "WARM_ENI_TARGET": "-1",
            "WARM_IP_TARGET": "two",
            "MAX_ENI": "0",
            "AWS_VPC_ENI_MTU": "10000",
            "AWS_VPC_K8S_CNI_EXTERNALSNAT": "yes",
            "AWS_VPC_K8S_CNI_VETHPREFIX": "vlan",
            "AWS_VPC_K8S_CNI_CONNMARK": "0",
            "IP_COOLDOWN_PERIOD": "",
            "AWS_VPC_K8S_CNI_RANDOMIZESNAT": "dice",
            "ADDITIONAL_ENI_TAGS": '{"node.k8s.amazonaws.com/x": "1"}',
            "AWS_VPC_K8S_PLUGIN_LOG_FILE": "stdout",
        }
    )
    assert settings == Settings()
    assert len(bad) == 11
    assert "WARM_ENI_TARGET='-1' is below 0; using 1" in map(str, bad)


@pytest.mark.parametrize("word", ["1", "t", "T", "TRUE", "true", "True"])
def test_the_originals_words_for_true(word: str) -> None:
    assert parse_settings({"AWS_VPC_K8S_CNI_EXTERNALSNAT": word})[0].external_snat


@pytest.mark.parametrize(
    ("given_mtu", "used"),
    [("5000", 5000), ("576", 576), ("9001", 9001), ("500", 9001), ("abc", 9001), (" 1500", 9001)],
)
def test_mtu_of_eni_is_the_pods_too_unless_it_has_its_own(given_mtu: str, used: int) -> None:
    settings, bad = parse_settings({"AWS_VPC_ENI_MTU": given_mtu})
    assert (settings.eni_mtu, settings.pod_mtu) == (used, used)
    assert bool(bad) == (str(used) != given_mtu)
    assert parse_settings({"AWS_VPC_ENI_MTU": "1500", "POD_MTU": "1400"})[0].pod_mtu == 1400


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", []),
        ("10.0.0.0/32", ["10.0.0.0/32"]),
        ("2000::1/128", []),
        ("10.0.0.0", []),
        ("10.0.0.0/32, 10.0.0.1/32, 2000::1/128", ["10.0.0.0/32", "10.0.0.1/32"]),
        ("10.0.0.0/32,abcd", ["10.0.0.0/32"]),
        ("10.1.2.3/8", ["10.0.0.0/8"]),
    ],
)
def test_external_service_cidrs_keep_the_good_items(text: str, kept: list[str]) -> None:
    assert [
        str(c) for c in parse_settings({"AWS_EXTERNAL_SERVICE_CIDRS": text})[0].external_service_cidrs
    ] == kept


def test_values_of_every_kind_are_taken() -> None:
    settings, bad = parse_settings(
        {
            "WARM_IP_TARGET": "5",
            "MINIMUM_IP_TARGET": "+10",
            "MAX_ENI": "2",
            "AWS_VPC_K8S_CNI_CONNMARK": "0x100",
            "AWS_VPC_K8S_CNI_RANDOMIZESNAT": "None",
            "AWS_VPC_K8S_CNI_LOGLEVEL": "WARN",
            "ADDITIONAL_ENI_TAGS": '{"team": "net", "a": "b"}',
            "AWS_EC2_ENDPOINT": "http://127.0.0.1:1",
        }
    )
    assert bad == ()
    assert (settings.warm.warm_ip, settings.warm.minimum_ip, settings.max_enis) == (5, 10, 2)
    assert settings.connmark == 0x100
    assert settings.randomize_snat is RandomizeSnat.NONE
    assert settings.log_level is LogLevel.WARN
    assert settings.additional_eni_tags == (("a", "b"), ("team", "net"))
    assert settings.ec2_endpoint == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("tags", "kept", "dropped"),
    [
        ({}, [], []),
        ({"team": "net", "node.k8s.amazonaws.com/x": "1"}, ["team"], ["node.k8s.amazonaws.com/x"]),
        ({"AWS:x": "1", "a": ""}, ["a"], ["AWS:x"]),
        ({"": "1", "k" * 128: "1", "k" * 129: "1"}, ["k" * 128], ["", "k" * 129]),
        ({"a": "v" * 256, "b": "v" * 257}, ["a"], ["b"]),
        ({f"{n:02}": "" for n in range(48)}, [f"{n:02}" for n in range(46)], ["46", "47"]),
    ],
)
def test_a_tag_that_ec2_or_the_cluster_would_not_have_does_not_cost_the_others(
    tags: dict[str, str], kept: list[str], dropped: list[str]
) -> None:
    settings, bad = parse_settings({"ADDITIONAL_ENI_TAGS": json.dumps(tags)})
    assert [key for key, _ in settings.additional_eni_tags] == kept
    assert [b.value for b in bad] == dropped
    assert all("the tags without it" in str(b) for b in bad)


@pytest.mark.parametrize("text", ["xxxx", "[]", '{"a": 1}', '{"a": null}', "[" * 9999])
def test_additional_tags_that_are_no_map_of_strings_are_none(text: str) -> None:
    settings, bad = parse_settings({"ADDITIONAL_ENI_TAGS": text})
    assert settings.additional_eni_tags == ()
    assert [b.problem for b in bad] == ["is not a JSON object of strings"]


NAMES = ["WARM_ENI_TARGET", "MAX_ENI", "POD_MTU", "AWS_VPC_K8S_CNI_CONNMARK", "ADDITIONAL_ENI_TAGS", "HTTP_TIMEOUT",
         "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", "AWS_VPC_K8S_CNI_LOGLEVEL", "DISABLE_METRICS"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12)))
def test_no_text_whatever_keeps_the_agent_from_starting(environ: dict[str, str]) -> None:
    settings, bad = parse_settings(environ)
    assert 576 <= settings.pod_mtu <= 9001
    assert settings.http_timeout >= 10
    assert {b.name for b in bad} <= set(environ)


IPV6 = {"ENABLE_IPv4": "false", "ENABLE_IPv6": "true", "ENABLE_PREFIX_DELEGATION": "true"}


def test_an_ipv6_cluster_s_settings() -> None:
    settings, bad = parse_settings(IPV6)
    assert bad == ()
    assert (settings.ipv6, settings.v4_egress, settings.leaked_eni_cleanup) == (True, True, False)
    assert settings.egress_log_file == "/var/log/aws-routed-eni/egress-v4-plugin.log"
    assert settings.warm.warm_prefix == 0, "one prefix is enough, no target is needed"
    settings, bad = parse_settings(
        {**IPV6, "POD_MTU": "1200", "ENABLE_POD_ENI": "true", "VPC_CNI_RULES": "compact"}
    )
    assert settings == parse_settings(IPV6)[0]
    assert sorted(str(b) for b in bad) == [
        "ENABLE_POD_ENI='true' is not for IPv6 clusters; using false",
        "POD_MTU='1200' is not between 1280 and 9001; using 9001",
        "VPC_CNI_RULES='compact' is not for IPv6 clusters; using compatible",
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"ENABLE_IPv4": ""}, None),
        ({"ENABLE_IPv4": "true"}, "are both true"),
        ({"ENABLE_IPv6": "false"}, "pods would have no address"),
        ({"ENABLE_PREFIX_DELEGATION": "false"}, "needs ENABLE_PREFIX_DELEGATION=true"),
        ({"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true"}, "do not go together"),
    ],
)
def test_what_no_node_can_be_is_refused_with_a_sentence(changes: dict[str, str], says: str | None) -> None:
    problem = impossible({**IPV6, **changes})
    assert problem is None if says is None else problem is not None and says in problem


def test_a_node_without_any_of_these_is_possible() -> None:
    assert impossible({}) is None
    assert impossible({"ENABLE_IPv4": "true", "ENABLE_IPv6": "false"}) is None


def test_prefix_mode_always_has_a_target() -> None:
    settings, bad = parse_settings({"ENABLE_PREFIX_DELEGATION": "true"})
    assert settings.warm.warm_prefix == 1
    assert bad == ()
    settings, bad = parse_settings({"ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "0"})
    assert settings.warm.warm_prefix == 1
    assert [b.name for b in bad] == ["WARM_PREFIX_TARGET"]
    settings, bad = parse_settings({"ENABLE_PREFIX_DELEGATION": "true", "WARM_IP_TARGET": "5"})
    assert (settings.warm.warm_prefix, settings.warm.warm_ip, bad) == (0, 5, ())


def test_imds_only_means_no_provisioning() -> None:
    assert parse_settings({})[0].provisioning
    for name in ("ENABLE_IMDS_ONLY_MODE", "DISABLE_NETWORK_RESOURCE_PROVISIONING"):
        assert not parse_settings({name: "true"})[0].provisioning


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("127.0.0.1:61679", True),
        ("unix:/run/x.sock", True),
        (":80", False),
        ("a:b", False),
        ("unix:x", False),
    ],
)
def test_where_introspection_listens(text: str, *, good: bool) -> None:
    settings, bad = parse_settings({"INTROSPECTION_BIND_ADDRESS": text})
    assert (settings.introspection_address == text) is good or text == Settings().introspection_address
    assert (bad == ()) is good
