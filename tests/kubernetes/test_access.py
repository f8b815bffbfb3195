"""As whom IAM's principals are known in a cluster, and what EKS's policies let them do."""

from __future__ import annotations

import pytest

from vpclab.aws.keys import Key
from vpclab.eks.access import POLICIES, PREFIX
from vpclab.eks.values import AccessEntry, PolicyAssociation
from vpclab.kubernetes.access import (
    ROLES,
    Known,
    Principal,
    by_config_map,
    by_entry,
    cluster_objects,
    entry_of,
    namespace_objects,
    policy_groups,
)

DEV = Principal("arn:aws:iam::111122223333:role/dev", "111122223333", "me@example.org")


def entry(principal: str, username: str = "", groups: tuple[str, ...] = ()) -> AccessEntry:
    return AccessEntry("myeks", principal, "u", 0.0, 0.0, username=username, groups=groups)


@pytest.mark.parametrize(
    ("arn", "principal"),
    [
        ("arn:aws:iam::1:user/team/admin", Principal("arn:aws:iam::1:user/team/admin", "1")),
        (
            "arn:aws:sts::111122223333:assumed-role/dev/me",
            Principal("arn:aws:iam::111122223333:role/dev", "111122223333", "me"),
        ),
    ],
)
def test_a_role_s_session_is_the_role_s(arn: str, principal: Principal) -> None:
    assert Principal.of(Key("A", "s", arn, "u")) == principal


def test_an_entry_is_filled_in_with_the_session_and_the_node() -> None:
    found = entry(DEV.arn, "x:{{SessionName}}:{{SessionNameRaw}}:{{AccountID}}", ("of-{{SessionName}}",))
    assert by_entry(DEV, found, None) == Known(
        "x:me-example.org:me@example.org:111122223333", ("of-me-example.org",)
    )
    node = Principal(DEV.arn, DEV.account, "i-1")
    found = entry(DEV.arn, "system:node:{{EC2PrivateDNSName}}", ("system:nodes",))
    assert by_entry(node, found, "ip-10-0-0-1.internal").username == "system:node:ip-10-0-0-1.internal"


def test_an_entry_of_a_role_with_a_path_is_found_by_its_session() -> None:
    of_path = entry("arn:aws:iam::111122223333:role/teams/a/dev")
    assert entry_of(DEV, [entry("arn:aws:iam::111122223333:role/other"), of_path]) is of_path
    assert entry_of(DEV, [entry("arn:aws:iam::111122223333:user/dev")]) is None


def test_aws_auth() -> None:
    data = {
        "mapRoles": "- {rolearn: 'arn:aws:iam::111122223333:role/dev', username: 'dev:{{SessionName}}', groups: [viewers]}\n- 3\n",
        "mapUsers": "- userarn: arn:aws:iam::111122223333:user/eve\n",
    }
    assert by_config_map(DEV, data, None) == Known("dev:me-example.org", ("viewers",))
    eve = Principal("arn:aws:iam::111122223333:user/eve", "111122223333")
    assert by_config_map(eve, data, None) == Known(eve.arn, ())
    assert by_config_map(Principal("arn:aws:iam::1:user/x", "1"), data, None) is None
    for broken in ("{", "3", "- [", "a: b"):
        assert by_config_map(DEV, {"mapRoles": broken}, None) is None


def test_policies_are_roles_in_the_cluster_or_in_the_namespaces_that_match() -> None:
    policies = [
        PolicyAssociation(f"{PREFIX}AmazonEKSViewPolicy", "cluster", (), 0, 0),
        PolicyAssociation(f"{PREFIX}AmazonEKSEditPolicy", "namespace", ("dev-*", "web"), 0, 0),
    ]
    groups = policy_groups(policies, ["default", "dev-a", "dev-b", "web"])
    assert groups == {
        "eks:access-policy:AmazonEKSViewPolicy": None,
        "eks:access-policy:AmazonEKSEditPolicy:dev-a": ("dev-a", "edit"),
        "eks:access-policy:AmazonEKSEditPolicy:dev-b": ("dev-b", "edit"),
        "eks:access-policy:AmazonEKSEditPolicy:web": ("web", "edit"),
    }
    bound = namespace_objects(groups)
    assert [(one["kind"], one["metadata"]["namespace"], one["roleRef"]["name"]) for one in bound] == [
        ("RoleBinding", "dev-a", "edit"),
        ("RoleBinding", "dev-b", "edit"),
        ("RoleBinding", "web", "edit"),
    ]
    assert [one["subjects"][0]["name"] for one in bound] == [one["metadata"]["name"] for one in bound]


def test_every_policy_that_eks_takes_has_its_role() -> None:
    assert ROLES.keys() == set(POLICIES)
    kinds = [(one["kind"], one["metadata"]["name"]) for one in cluster_objects()]
    assert ("ClusterRole", "eks:admin-view") in kinds
    assert len([kind for kind, _ in kinds if kind == "ClusterRoleBinding"]) == len(POLICIES)
