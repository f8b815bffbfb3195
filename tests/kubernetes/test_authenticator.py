"""What the API server is told of a token: EKS's own answer, from access entries, policies and aws-auth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, cast

import httpx2
import pytest

from tests.eks.conftest import CLUSTER, ROLE, World, make_world
from tests.kubernetes.conftest import signed_token
from vpclab.aws.keys import Key, Keys
from vpclab.eks.access import PREFIX
from vpclab.kubernetes.api import KubernetesApi, KubernetesError
from vpclab.kubernetes.authenticator import PATH, Authenticator

DEV = "arn:aws:iam::111122223333:role/dev"


class Api:
    """An API server with two namespaces."""

    def __init__(self) -> None:
        self.applied: dict[str, Any] = {}
        self.aws_auth: dict[str, str] | None = None

    async def get(self, path: str) -> dict[str, Any]:
        if path.endswith("/namespaces"):
            return {"items": [{"metadata": {"name": name}} for name in ("default", "web")]}
        if self.aws_auth is None:
            raise KubernetesError("not found", 404)
        return {"data": self.aws_auth}

    async def apply(self, path: str, body: Mapping[str, Any]) -> None:
        self.applied[path] = body


class Scene:
    """A cluster, its authenticator, a role's key."""

    def __init__(self) -> None:
        self.world: World = make_world()
        self.world.region.advance(time.time())
        self.api = Api()
        self.keys = Keys(self.world.region)
        session = DEV.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/me"
        self.keys.add(Key("ASIADEV", "hidden", session, "AROADEV:me", "session", time.time() + 3600))
        api = cast("KubernetesApi", self.api)
        self.authenticator = Authenticator(CLUSTER, self.world.eks, self.keys, api, self.node, strict=True)

    def node(self, instance_id: str) -> str | None:
        return f"{instance_id}.internal" if instance_id in self.world.region.instances else None

    def review(self, token: str) -> dict[str, Any]:
        async def ask() -> Any:
            transport = httpx2.ASGITransport(self.authenticator.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
                body = {
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenReview",
                    "spec": {"token": token},
                }
                return (await client.post(PATH, json=body)).json()

        found = asyncio.run(ask())
        assert (found["apiVersion"], found["kind"]) == ("authentication.k8s.io/v1", "TokenReview")
        return dict(found["status"])

    def dev(self) -> dict[str, Any]:
        return self.review(signed_token("ASIADEV", "hidden", "session"))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_who_made_the_cluster_may_do_everything(scene: Scene) -> None:
    admin = scene.keys.admin
    status = scene.review(signed_token(admin.id, admin.secret))
    assert status["authenticated"]
    assert status["user"]["username"] == admin.arn
    assert "eks:access-policy:AmazonEKSClusterAdminPolicy" in status["user"]["groups"]
    assert status["user"]["extra"]["canonicalArn"] == [admin.arn]


def test_an_entry_s_groups_and_policies_are_the_session_s_groups(scene: Scene) -> None:
    assert "has no access entry in myeks" in scene.dev()["error"]
    eks = scene.world.eks
    eks.access.create(CLUSTER, DEV, groups=("viewers",))
    eks.access.associate(CLUSTER, DEV, f"{PREFIX}AmazonEKSEditPolicy", "namespace", ("web",))
    user = scene.dev()["user"]
    assert user["username"] == "arn:aws:sts::111122223333:assumed-role/dev/me"
    assert user["groups"] == ["viewers", "eks:access-policy:AmazonEKSEditPolicy:web", "system:authenticated"]
    assert user["extra"]["sessionName"] == ["me"]
    [binding] = scene.api.applied.values()
    assert binding["metadata"]["namespace"] == "web"
    eks.access.delete(CLUSTER, DEV)
    assert not scene.dev()["authenticated"]


def test_aws_auth_counts_where_no_entry_does(scene: Scene) -> None:
    scene.api.aws_auth = {"mapRoles": f"- {{rolearn: '{DEV}', username: dev, groups: [system:masters]}}"}
    assert scene.dev()["user"]["username"] == "dev"
    scene.world.eks.access.create(CLUSTER, DEV)
    assert scene.dev()["user"]["username"].endswith("assumed-role/dev/me")


def test_a_node_s_role_is_known_as_the_node(scene: Scene) -> None:
    instance = scene.world.nodes[0].id
    session = ROLE.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + f"/{instance}"
    scene.keys.add(Key("ASIANODE", "hidden", session, f"AROANODE:{instance}", "session", time.time() + 60))
    user = scene.review(signed_token("ASIANODE", "hidden", "session"))["user"]
    assert user["username"] == f"system:node:{instance}.internal"
    assert "system:nodes" in user["groups"]


@pytest.mark.parametrize("token", ["", "x", "k8s-aws-v1.x"])
def test_anything_else_is_not_authenticated(scene: Scene, token: str) -> None:
    status = scene.review(token)
    assert status["authenticated"] is False
    assert status["error"]
