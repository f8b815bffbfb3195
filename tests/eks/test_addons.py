"""Add-ons: versions by Kubernetes, configuration by schema, what a rollout does to the status."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.eks.conftest import CLUSTER, World, make_world, refused
from vpclab.eks import EksDelays, Issue, Status, environment_of, read_configuration
from vpclab.eks.catalogue import OFFERED, offered
from vpclab.eks.schemas import schema_of, schema_text, vpc_cni_variables
from vpclab.eks.versions import VERSIONS

WARM = '{"env":{"WARM_IP_TARGET":"2"}}'


def test_an_addon_gets_the_version_of_its_kubernetes(world: World) -> None:
    addon = world.eks.create_addon(CLUSTER, "vpc-cni")
    assert (addon.version, addon.status) == ("v1.16.0-eksbuild.1", Status.ACTIVE)
    assert world.eks.create_addon(CLUSTER, "kube-proxy").version.startswith("v1.29.")
    with refused("ResourceInUseException", "Addon already exists."):
        world.eks.create_addon(CLUSTER, "vpc-cni")
    with refused("InvalidParameterException", "Addon version specified is not supported"):
        world.eks.create_addon(CLUSTER, "coredns", version="v1.12.4-eksbuild.1")
    with refused("InvalidParameterException", "is not supported"):
        world.eks.create_addon(CLUSTER, "no-such-addon")
    with refused("ResourceNotFoundException", "No addon: coredns found in cluster: myeks"):
        world.eks.addon(CLUSTER, "coredns")


def test_the_catalogue_is_sound() -> None:
    counts = {version: sum(1 for _ in offered(version)) for version in VERSIONS}
    assert len(set(counts.values())) > 1, "the count depends on the version asked for"
    for one in OFFERED.values():
        assert len({version.version for version in one.versions}) == len(one.versions)
        for minor, version in one.defaults.items():
            known = one.version(version)
            assert known is not None, (one.name, version)
            assert known.fits(f"1.{minor}"), (one.name, version, minor)
    for name in ("vpc-cni", "kube-proxy", "coredns"):
        assert {f"1.{minor}" for minor in OFFERED[name].defaults} == set(VERSIONS)


@pytest.mark.parametrize("name", list(OFFERED))
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft6Validator.check_schema(schema_of(name))
    assert json.loads(schema_text(name)) == schema_of(name)


def test_configuration_is_json_or_yaml_and_must_fit() -> None:
    assert read_configuration("vpc-cni", WARM) == {"env": {"WARM_IP_TARGET": "2"}}
    assert read_configuration("vpc-cni", 'env:\n  WARM_IP_TARGET: "2"\n') == {"env": {"WARM_IP_TARGET": "2"}}
    assert read_configuration("vpc-cni", "") == {}
    for text, words in (
        ('{"env":{"WARM_IP_TARGET":2}}', "$.env.WARM_IP_TARGET: 2 is not of type 'string'"),
        ('{"env":{"WARM_IP_TARGETS":"2"}}', "WARM_IP_TARGETS"),
        ('{"env":{"WARM_IP_TARGET":"two"}}', "'two' does not match"),
        ('{"replicas":2}', "replicas"),
        ('{"env":', "neither JSON nor YAML"),
        ("just words", "is not of type 'object'"),
    ):
        with refused("InvalidParameterException", words):
            read_configuration("vpc-cni", text)


def test_what_the_agents_are_told() -> None:
    assert environment_of({"env": {"WARM_IP_TARGET": "2"}, "enableNetworkPolicy": "true"}) == {
        "WARM_IP_TARGET": "2",
        "NETWORK_POLICY_ENFORCING_MODE": "standard",
    }
    assert {"ENABLE_PREFIX_DELEGATION", "WARM_ENI_TARGET", "VPC_CNI_RULES"} <= vpc_cni_variables()


def test_an_update_is_updating_until_it_is_rolled_out() -> None:
    world = make_world(attended=True)
    eks = world.eks
    eks.create_addon(CLUSTER, "vpc-cni")
    (created,) = eks.rollouts.values()
    assert eks.addon(CLUSTER, "vpc-cni").status is Status.CREATING
    eks.rolled_out(created)
    update = eks.update_addon(CLUSTER, "vpc-cni", configuration=WARM, resolve="OVERWRITE")
    assert (update.status, update.type) == ("InProgress", "AddonUpdate")
    assert dict(update.params) == {"ResolveConflicts": "OVERWRITE", "ConfigurationValues": WARM}
    with refused("ResourceInUseException", "currently in UPDATING state"):
        eks.update_addon(CLUSTER, "vpc-cni", configuration="")
    (rollout,) = eks.rollouts.values()
    assert rollout.values == {"env": {"WARM_IP_TARGET": "2"}}
    eks.rolled_out(rollout)
    assert eks.addon(CLUSTER, "vpc-cni").status is Status.ACTIVE
    assert eks.update(CLUSTER, update.id, addon="vpc-cni").status == "Successful"
    # what is not given stays
    eks.update_addon(CLUSTER, "vpc-cni", version="v1.18.1-eksbuild.3")
    (rollout,) = eks.rollouts.values()
    assert (rollout.version, rollout.values) == ("v1.18.1-eksbuild.3", {"env": {"WARM_IP_TARGET": "2"}})


@pytest.mark.parametrize(
    ("code", "status"),
    [("InsufficientNumberOfReplicas", Status.DEGRADED), ("ConfigurationConflict", Status.UPDATE_FAILED)],
)
def test_a_rollout_that_fails_is_told_of_until_the_next(code: str, status: Status) -> None:
    world = make_world(attended=True)
    eks = world.eks
    eks.create_addon(CLUSTER, "vpc-cni")
    eks.rolled_out(next(iter(eks.rollouts.values())))
    update = eks.update_addon(CLUSTER, "vpc-cni", configuration=WARM)
    issue = Issue(code, "node2 does not come back")
    eks.rolled_out(next(iter(eks.rollouts.values())), issue)
    addon = eks.addon(CLUSTER, "vpc-cni")
    assert (addon.status, addon.issues) == (status, (issue,))
    failed = eks.update(CLUSTER, update.id, addon="vpc-cni")
    assert (failed.status, failed.errors) == ("Failed", (issue,))
    eks.update_addon(CLUSTER, "vpc-cni", resolve="OVERWRITE")
    eks.rolled_out(next(iter(eks.rollouts.values())))
    assert (eks.addon(CLUSTER, "vpc-cni").status, eks.addon(CLUSTER, "vpc-cni").issues) == (Status.ACTIVE, ())


def test_a_delay_comes_before_a_rollout_and_a_removal() -> None:
    world = make_world(delays=EksDelays(addon=(3.0, 3.0)))
    eks = world.eks
    eks.create_addon(CLUSTER, "vpc-cni")
    assert eks.addon(CLUSTER, "vpc-cni").status is Status.CREATING
    world.region.advance(3.0)
    assert eks.addon(CLUSTER, "vpc-cni").status is Status.ACTIVE
    assert eks.delete_addon(CLUSTER, "vpc-cni").status is Status.DELETING
    world.region.advance(6.0)
    assert not eks.addons


def test_an_addon_with_a_pod_identity(world: World) -> None:
    role = "arn:aws:iam::111122223333:role/cni"
    addon = world.eks.create_addon(CLUSTER, "vpc-cni", pod_identities={"aws-node": role})
    (identity,) = world.eks.pod_identities.values()
    assert (identity.namespace, identity.service_account, identity.role_arn) == (
        "kube-system",
        "aws-node",
        role,
    )
    assert addon.pod_identities == (world.eks.identities.arn(identity),)
    assert identity.owner == world.eks.tagging.arn(addon)
    world.eks.delete_addon(CLUSTER, "vpc-cni")
    assert not world.eks.pod_identities
