"""The control plane: etcd, API server, controller manager and scheduler, in a corner of their own as EKS's are.

The cluster reaches it by ENIs in its subnets, which are AWS's machine's, not an instance of the account's.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpclab.fabric import Place
from vpclab.kubernetes import authenticator
from vpclab.kubernetes.api import KubernetesApi
from vpclab.kubernetes.binaries import Binaries
from vpclab.kubernetes.certificates import Authority, Credentials, kubeconfig, signing_key, webhook
from vpclab.node.agent_process import AgentProcess

SERVICES = IPv4Network("10.100.0.0/16")
"""EKS's range for a VPC that is not in 10.0.0.0/8."""
API_SERVICE = SERVICES[1]
DNS_SERVICE = SERVICES[10]
PORT = 443
FILES = Path("/etc/kubernetes")
LOGS = Path("/var/log/control-plane")
ETCD = "http://127.0.0.1:2379"
HERE = IPv4Address("127.0.0.1")
READY = 120.0
"""Seconds for the API server to be ready on a busy machine."""
LOOK_EVERY = 0.1
HOPELESS = 3
"""Ends of a component in a row after which nobody waits for it any more."""
KNOWN_FOR = "5s"
"""How long the API server goes by what the authenticator said (EKS: minutes): who changes an access entry sees what comes of it."""
ADMIN = "kubernetes-admin"
MASTERS = "system:masters"


class ControlPlaneError(Exception):
    """It did not come up; the text says what, with its last words."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How the cluster is reached: the name that EKS gives it, and the addresses of its ENIs."""

    name: str
    addresses: tuple[IPv4Address, ...]

    @property
    def url(self) -> str:
        """As in every kubeconfig."""
        return f"https://{self.name}"


class ControlPlane:
    """Its processes and certificates. Used from the lab's loop."""

    def __init__(
        self, place: Place, binaries: Binaries, cluster: str, region: str, endpoint: Endpoint
    ) -> None:
        self.place = place
        self.endpoint = endpoint
        self.authority = Authority.create("kubernetes")
        self._binaries = binaries
        self._cluster = cluster
        self._region = region
        server = f"https://{HERE}:{PORT}"
        self._components = {
            name: AgentProcess(place, binaries.environment, argv, LOGS / f"{name}.log")
            for name, argv in self._commands().items()
        }
        self.api = KubernetesApi(
            place, server, self.authority.pem, self.authority.issue("eks:lab", (MASTERS,))
        )

    async def start(self) -> None:
        """Up, and the API server ready.

        Raises:
            ControlPlaneError: it does not come up.
        """
        await self.place.call(self._write_files)
        for component in self._components.values():
            component.start()
        await self.wait_ready()

    async def wait_ready(self) -> None:
        """Until the API server says that it is ready. Raises ControlPlaneError."""
        try:
            async with asyncio.timeout(READY):
                while not await self.api.answers():
                    for name in ("etcd", "kube-apiserver"):
                        if self._components[name].failures >= HOPELESS:
                            raise ControlPlaneError(await self.place.call(_last_words, name))
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise ControlPlaneError(await self.place.call(_last_words, "kube-apiserver")) from None

    async def stop_api_server(self) -> None:
        """An outage: nobody answers until `start_api_server`."""
        await self._components["kube-apiserver"].stop(signal.SIGKILL)

    async def start_api_server(self) -> None:
        """The outage is over when this returns. Raises ControlPlaneError."""
        self._components["kube-apiserver"].start()
        await self.wait_ready()

    def kubeconfig(self, who: Credentials, user: str) -> str:
        """For a client anywhere in the VPC."""
        return kubeconfig(self.endpoint.url, self.authority.pem, who, cluster=self._cluster, user=user)

    def admin_kubeconfig(self) -> str:
        """The person's."""
        return self.kubeconfig(self.authority.issue(ADMIN, (MASTERS,)), ADMIN)

    # --- files and commands -----------------------------------------------------------------------------------

    def _write_files(self) -> None:
        FILES.mkdir(parents=True, exist_ok=True)
        LOGS.mkdir(parents=True, exist_ok=True)
        ca = self.authority
        names = (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        )
        serving = ca.issue(
            "kube-apiserver",
            names=(self.endpoint.name, "localhost", *names),
            addresses=(*self.endpoint.addresses, API_SERVICE, HERE),
        )
        pairs = {
            "ca": ca.credentials,
            "apiserver": serving,
            "kubelet-client": ca.issue("kube-apiserver-kubelet-client", (MASTERS,)),
        }
        for name, pair in pairs.items():
            (FILES / f"{name}.crt").write_bytes(pair.certificate)
            _secret(FILES / f"{name}.key", pair.key)
        _secret(FILES / "service-accounts.key", signing_key())
        (FILES / "authenticator.conf").write_text(
            webhook(f"http://{HERE}:{authenticator.PORT}{authenticator.PATH}")
        )
        for user in ("kube-controller-manager", "kube-scheduler"):
            who = ca.issue(f"system:{user}")
            text = kubeconfig(f"https://{HERE}:{PORT}", ca.pem, who, cluster=self._cluster, user=user)
            _secret(FILES / f"{user}.conf", text.encode())

    def _commands(self) -> dict[str, tuple[str, ...]]:
        path = self._binaries.path
        issuer = self.endpoint.name.replace(".gr7.", ".").partition(".")[0]
        clients = [
            f"--{kind}={{0}}"
            for kind in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        ]

        def configured(name: str) -> list[str]:
            return [option.format(FILES / f"{name}.conf") for option in clients]

        return {
            "etcd": (
                path("etcd"),
                "--name=lab",
                "--data-dir=/run/etcd",
                f"--listen-client-urls={ETCD}",
                f"--advertise-client-urls={ETCD}",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                "--initial-cluster=lab=http://127.0.0.1:2380",
                "--log-level=warn",
            ),
            "kube-apiserver": (
                path("kube-apiserver"),
                f"--etcd-servers={ETCD}",
                f"--advertise-address={self.endpoint.addresses[0]}",
                "--bind-address=0.0.0.0",
                f"--secure-port={PORT}",
                f"--service-cluster-ip-range={SERVICES}",
                f"--client-ca-file={FILES / 'ca.crt'}",
                f"--tls-cert-file={FILES / 'apiserver.crt'}",
                f"--tls-private-key-file={FILES / 'apiserver.key'}",
                f"--kubelet-certificate-authority={FILES / 'ca.crt'}",
                f"--kubelet-client-certificate={FILES / 'kubelet-client.crt'}",
                f"--kubelet-client-key={FILES / 'kubelet-client.key'}",
                "--kubelet-preferred-address-types=InternalIP",
                f"--service-account-issuer=https://oidc.eks.{self._region}.amazonaws.com/id/{issuer}",
                f"--service-account-key-file={FILES / 'service-accounts.key'}",
                f"--service-account-signing-key-file={FILES / 'service-accounts.key'}",
                f"--authentication-token-webhook-config-file={FILES / 'authenticator.conf'}",
                "--authentication-token-webhook-version=v1",
                f"--authentication-token-webhook-cache-ttl={KNOWN_FOR}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                "--profiling=false",
                "--v=1",
            ),
            "kube-controller-manager": (
                path("kube-controller-manager"),
                *configured("kube-controller-manager"),
                f"--cluster-name={self._cluster}",
                f"--cluster-signing-cert-file={FILES / 'ca.crt'}",
                f"--cluster-signing-key-file={FILES / 'ca.key'}",
                f"--root-ca-file={FILES / 'ca.crt'}",
                f"--service-account-private-key-file={FILES / 'service-accounts.key'}",
                "--use-service-account-credentials=true",
                "--cloud-provider=external",
                "--allocate-node-cidrs=false",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
                "--profiling=false",
                "--v=1",
            ),
            "kube-scheduler": (
                path("kube-scheduler"),
                *configured("kube-scheduler"),
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
                "--profiling=false",
                "--v=1",
            ),
        }


def _secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _last_words(component: str) -> str:
    log = LOGS / f"{component}.log"
    lines = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else ["(it said nothing)"]
    return f"{component} is not ready; its last lines:\n" + "\n".join(lines)
