"""A cluster of the lab: the control plane, what nodes are given, and the add-ons; behind the lab's port for nodes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from vpclab.aws.keys import Keys
from vpclab.bastion import Desk, equip_bastion, equip_node
from vpclab.eks import Eks
from vpclab.fabric import AWS_API, Fabric, Place
from vpclab.images.aws_node import aws_node_objects, custom_resources
from vpclab.images.registry import registry_app
from vpclab.kubernetes import (
    access,
    addons,
    attachments,
    cgroups,
    containerd,
    desk,
    kubelet,
    objects,
    resolver,
)
from vpclab.kubernetes.api import KubernetesError
from vpclab.kubernetes.authenticator import PORT as AUTHENTICATOR_PORT
from vpclab.kubernetes.authenticator import Authenticator
from vpclab.kubernetes.cloud import NODES, CloudController
from vpclab.kubernetes.control_plane import DNS_SERVICE, HERE, ControlPlane, ControlPlaneError
from vpclab.kubernetes.endpoint import connect
from vpclab.kubernetes.machine import KubernetesNode, Outfit, as_json
from vpclab.kubernetes.supplies import Supplies
from vpclab.lab.state import LabError, LabState
from vpclab.node import Machine, ec2_name
from vpclab.region import InstanceState, Study
from vpclab.region.study import BASTION_NAME, CLUSTER, NODE_GROUP
from vpclab.region.values import Instance
from vpclab.serving import Serving, serve

NODE_GROUP_TAG = "eks:nodegroup-name"
BASTION = "bastion"
PODS = "/api/v1/pods"
REGISTRY_PORT = 5000
"""Of the lab's registry, at AWS's address."""
ROLLED = 180.0
"""Seconds for a rollout of aws-node over all nodes."""
DRAINED = 120.0
LOOK_EVERY = 0.3


class Cluster:
    """`NodeKind` of a lab with Kubernetes. Used from the lab's loop."""

    def __init__(
        self,
        name: str,
        eks: Eks,
        fabric: Fabric,
        root: Path,
        supplies: Supplies,
        environment: Mapping[str, str],
        *,
        keys: Keys,
        strict: bool,
        always: Mapping[str, str],
    ) -> None:
        """`name` is the lab's; `root` keeps the machines' files; the rest is as for `BareKind`.

        `keys` are the account's, by which people are known; with `strict` no others are taken.
        """
        self._name = name
        self._eks = eks
        self._region = eks.region
        self._always = dict(always)
        self._keys = keys
        self._strict = strict
        self._study: Study | None = None
        self._fabric = fabric
        self._root = root
        self._supplies = supplies
        self._environment = dict(environment)
        self._baked = supplies.disks / "image"
        self._images = supplies.images
        self._control: ControlPlane | None = None
        self._cloud: CloudController | None = None
        self._task: asyncio.Task[None] | None = None
        self._resolver: resolver.Resolver | None = None
        self._registry: Serving | None = None
        self._authenticator: Serving | None = None

    @property
    def control(self) -> ControlPlane:
        """Once it was started."""
        if self._control is None:
            raise LabError("the cluster's control plane is not up yet")
        return self._control

    @property
    def places(self) -> dict[str, Place]:
        """The cluster's own corner, by name."""
        return {self._control.place.name: self._control.place} if self._control else {}

    # --- up and down ----------------------------------------------------------------------------------------

    @property
    def study(self) -> Study:
        """The VPC that it is in, once it was started."""
        if self._study is None:
            raise LabError("the cluster is not up yet")
        return self._study

    async def start(self, study: Study, say: Callable[[str], None]) -> None:
        """The control plane in a VPC and the objects of the add-ons; nodes may come from then on.

        Raises:
            ControlPlaneError, KubernetesError, OSError, CommandError: it does not come up.
        """
        supplies = self._supplies
        self._study = study
        groups = (hierarchy.below / cgroups.TOP / self._name for hierarchy in cgroups.found())
        LabState(self._name).note_outside(groups, (supplies.disks,))
        group = self._eks.cluster(CLUSTER).cluster_security_group_id
        place, endpoint = await connect(self._fabric, self._region, study, CLUSTER, group, self._root)
        router = self._fabric.places["router"]
        self._resolver = resolver.Resolver(
            router, supplies.binaries, study.vpc.cidrs[0], self._region.name, self._root / "resolver"
        )
        await self._resolver.start({endpoint.name: endpoint.addresses})
        listening = await self._fabric.places["internet"].listen(AWS_API, REGISTRY_PORT)
        self._registry = await serve(registry_app(supplies.images), listening)
        self._control = ControlPlane(place, supplies.binaries, CLUSTER, self._region.name, endpoint)
        known = Authenticator(
            CLUSTER, self._eks, self._keys, self._control.api, self._node_of, strict=self._strict
        )
        self._authenticator = await serve(known.app, await place.listen(HERE, AUTHENTICATOR_PORT))
        baking = asyncio.to_thread(
            containerd.bake, supplies.binaries, supplies.images.archive, supplies.cache, self._baked
        )
        await asyncio.gather(baking, self._control.start())
        authority = base64.b64encode(self._control.authority.pem).decode()
        self._eks.endpoints[CLUSTER] = endpoint.url, authority
        say(f"the control plane is up at {endpoint.url} ({supplies.binaries.version()})")
        self._cloud = CloudController(self._control.api, self._instances)
        self._task = asyncio.get_running_loop().create_task(self._cloud.run())
        images = self._images
        await self._apply(
            [
                *custom_resources(),
                *access.cluster_objects(),
                *addons.kube_proxy(images, endpoint.url),
                *aws_node_objects(images, self._add_on()),
                *addons.coredns(images),
            ]
        )

    async def _apply(self, things: list[dict[str, Any]]) -> None:
        # the API server is ready a moment before it has made kube-system and its own roles
        for attempt in range(50):
            try:
                await objects.apply(self.control.api, things)
            except KubernetesError as error:
                if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN) or attempt == 49:
                    raise
                await asyncio.sleep(LOOK_EVERY)
            else:
                return

    # --- nodes ------------------------------------------------------------------------------------------------

    def make(self, name: str, instance: Instance, place: Place) -> Machine:
        """A node that boots kubelet and joins. Anew at each boot."""
        facts = self._facts(instance)
        control, supplies = self.control, self._supplies
        user = f"system:node:{facts.name}"
        client = control.authority.issue(user, ("system:nodes",))
        most_pods = kubelet.max_pods(instance.type, self._environment)
        external = [facts.external] if facts.external else []
        outfit = Outfit(
            lab=self._name,
            binaries=supplies.binaries,
            baked=self._baked,
            disk=supplies.disks / instance.id / "containerd",
            pause=self._images.name(addons.PAUSE),
            registry=f"http://{AWS_API}:{REGISTRY_PORT}",
            facts=facts,
            kubelet_configuration=as_json(kubelet.configuration(most_pods, DNS_SERVICE, facts.provider_id)),
            kubeconfig=control.kubeconfig(client, user),
            authority=control.authority.pem,
            serving=control.authority.issue(
                user, ("system:nodes",), names=(facts.name,), addresses=(facts.internal, *external)
            ),
            resolv_conf=f"search {self._region.name}.compute.internal\nnameserver {self._nameserver}\n",
        )
        return KubernetesNode(name, instance.id, place, outfit, self._ready)

    @property
    def _nameserver(self) -> IPv4Address:
        return resolver.address_in(self.study.vpc.cidrs[0])

    async def booted(self, machine: Machine) -> None:
        """What a person needs on a machine that boots: a shell on the bastion, a way onto each node. Raises OSError."""
        if isinstance(machine, KubernetesNode):
            await equip_node(machine.place, self._supplies.kit)
        elif machine.name == BASTION or self._region.instance(machine.instance_id).name == BASTION_NAME:
            nameserver = str(self._nameserver)
            key = self._keys.admin if self._strict else None
            variables = desk.variables(self._region, self.study, self._supplies.binaries.version(), key)
            kubeconfig = self.control.admin_kubeconfig()
            programs = self._supplies.binaries.directory
            await equip_bastion(
                machine.place, self._supplies.kit, Desk(variables, kubeconfig, programs, nameserver)
            )

    async def sandboxes(self, machines: Iterable[Machine]) -> dict[str, list[dict[str, str]]]:
        """Each node's pods, for whoever judges. Raises LabError: the API server does not tell."""
        found: dict[str, list[dict[str, str]]] = {}
        for node in machines:
            if isinstance(node, KubernetesNode):
                held = await node.place.call(attachments.held)
                try:
                    pods = await self.control.api.get(PODS, fieldSelector=f"spec.nodeName={node.node_name}")
                except KubernetesError as error:
                    raise LabError(str(error)) from error
                found[node.name] = attachments.sandboxes(held, pods["items"])
        return found

    def agent_views(self, machines: Iterable[Machine]) -> dict[str, dict[str, Any]]:
        """Of each node, what a bare lab tells of its agent; who keeps it running here is kubelet."""
        return {
            node.name: {"pid": None, "wanted": True, "starts": None, "lastEnd": None, "env": self._add_on()}
            for node in machines
            if isinstance(node, KubernetesNode)
        }

    async def api_server(self, *, up: bool) -> None:
        """Begin or end an outage of the API server. Raises LabError."""
        try:
            await (self.control.start_api_server() if up else self.control.stop_api_server())
        except ControlPlaneError as error:
            raise LabError(str(error)) from error

    async def _ready(self, node: str) -> tuple[bool, str]:
        return self._cloud.ready(node) if self._cloud else (False, "the cluster is not up")

    def _facts(self, instance: Instance) -> kubelet.NodeFacts:
        eni = self._region.primary_eni(instance.id)
        return kubelet.NodeFacts(
            name=ec2_name(eni.primary, self._region.name),
            instance_id=instance.id,
            instance_type=instance.type,
            region=self._region.name,
            zone=instance.zone,
            internal=eni.primary,
            external=eni.public_ip,
            node_group=instance.tags.get(NODE_GROUP_TAG, NODE_GROUP),
            image_id=instance.image_id,
        )

    def _node_of(self, instance_id: str) -> str | None:
        """What an instance's node is called; None: there is no such instance."""
        instance = self._region.instances.get(instance_id)
        return self._facts(instance).name if instance and self._region.enis_of(instance_id) else None

    def _instances(self) -> dict[str, kubelet.NodeFacts]:
        """By the node's name: those that are not terminated. Disks of those that are go."""
        found: dict[str, kubelet.NodeFacts] = {}
        for instance in self._region.instances.values():
            if instance.state is InstanceState.TERMINATED or not self._region.enis_of(instance.id):
                shutil.rmtree(self._supplies.disks / instance.id, ignore_errors=True)
            else:
                facts = self._facts(instance)
                found[facts.name] = facts
        return found

    async def drain(self, machine: Machine) -> None:
        """Cordon the node and evict its pods, as a managed node group does before it ends an instance."""
        if not isinstance(machine, KubernetesNode):
            return
        api, node = self.control.api, machine.node_name
        try:
            await api.patch(f"{NODES}/{node}", {"spec": {"unschedulable": True}})
            async with asyncio.timeout(DRAINED):
                while left := evictable(
                    (await api.get(PODS, fieldSelector=f"spec.nodeName={node}"))["items"]
                ):
                    for pod in left:
                        await self._evict(pod)
                    await asyncio.sleep(LOOK_EVERY)
        except KubernetesError as error:
            raise LabError(f"{machine.name} can't be drained: {error}") from error
        except TimeoutError:
            names = ", ".join(str(pod["metadata"]["name"]) for pod in left)
            raise LabError(f"{machine.name} still has pods after {DRAINED:.0f} s: {names}") from None

    async def _evict(self, pod: Mapping[str, Any]) -> None:
        meta = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        with contextlib.suppress(KubernetesError):  # gone, or a budget says not yet
            await self.control.api.create(path, body)

    # --- the add-on -------------------------------------------------------------------------------------------

    async def configure(self, environment: Mapping[str, str], machines: Sequence[Machine]) -> None:
        """The add-on's environment: the DaemonSet is changed and rolls, node by node."""
        del machines
        self._environment = dict(environment)
        try:
            await objects.apply(self.control.api, aws_node_objects(self._images, self._add_on()))
            async with asyncio.timeout(ROLLED):
                while not rolled(await self.control.api.get(addons.AWS_NODE)):  # noqa: ASYNC110 -- its state is elsewhere
                    await asyncio.sleep(LOOK_EVERY)
        except KubernetesError as error:
            raise LabError(f"aws-node can't be changed: {error}") from error
        except TimeoutError:
            raise LabError(
                f"aws-node is not rolled out after {ROLLED:.0f} s: kubectl -n kube-system get pods -l k8s-app=aws-node"
            ) from None

    async def override(self, changes: Mapping[str, str | None], machines: Sequence[Machine]) -> None:
        """A DaemonSet has one environment for all nodes."""
        del changes, machines
        raise LabError(
            "with Kubernetes, the agents' environment is the vpc-cni add-on's: "
            "aws eks update-addon --configuration-values, or kubectl -n kube-system set env daemonset/aws-node"
        )

    def recall(self, by_hand: Mapping[str, Mapping[str, str | None]]) -> None:
        """Nothing is changed by hand here."""
        del by_hand

    def _add_on(self) -> dict[str, str]:
        """What the lab's aws-node needs beside a real one's: where the lab's EC2 is."""
        return {
            "AWS_EC2_ENDPOINT": f"http://ec2.{self._region.name}.amazonaws.com",
            "CLUSTER_NAME": CLUSTER,
            "CLUSTER_ENDPOINT": self.control.endpoint.url,
            **self._always,
            **self._environment,
        }


def evictable(pods: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that a drain ends: not a DaemonSet's, not ended ones, not mirrors of a kubelet's own."""

    def stays(pod: Mapping[str, Any]) -> bool:
        owners = pod["metadata"].get("ownerReferences") or ()
        ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
        return ended or any(owner["kind"] in {"DaemonSet", "Node"} for owner in owners)

    return [pod for pod in pods if not stays(pod)]


def rolled(daemon_set: Mapping[str, Any]) -> bool:
    """Whether every node that should runs the newest revision, and is available."""
    status = daemon_set.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    return bool(
        status.get("observedGeneration") == daemon_set["metadata"].get("generation")
        and status.get("updatedNumberScheduled", 0) == wanted
        and status.get("numberAvailable", 0) == wanted
    )
