"""The VPC's resolver (the VPC's base address plus two, and 169.254.169.253): a CoreDNS with the lab's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpclab.fabric import AWS_API, CHECKIP, Place
from vpclab.kubernetes.binaries import Binaries
from vpclab.node.agent_process import AgentProcess

LINK_LOCAL = IPv4Address("169.254.169.253")
SERVICES = ("ec2", "eks", "sts", "cloudformation", "ssm", "autoscaling", "elasticloadbalancing", "iam")
"""Of AWS, by the names of their endpoints."""
KNOWN = ("checkip.amazonaws.com", "ipinfo.io", "www.google.com", "google.com", "example.com")
"""Names of the internet that the lab's internet answers for itself."""
RELOAD = "1s"


def address_in(vpc: IPv4Network) -> IPv4Address:
    """Where a VPC's instances find it."""
    return vpc[2]


def corefile(addresses: Iterable[IPv4Address], hosts: Path, region: str) -> str:
    """Names from a file; instances' names say their addresses; nothing else is known."""
    octets = "-".join(f"(?P<o{n}>[0-9]+)" for n in range(4))
    answer = ".".join(f"{{{{ .Group.o{n} }}}}" for n in range(4))
    return f"""\
. {{
    bind {" ".join(str(address) for address in addresses)}
    errors
    hosts {hosts} {{
        ttl 5
        reload {RELOAD}
    }}
    template IN A {region}.compute.internal {{
        match ^ip-{octets}[.]
        answer "{{{{ .Name }}}} 60 IN A {answer}"
        fallthrough
    }}
}}
"""


def names(region: str, more: Mapping[str, Iterable[IPv4Address]]) -> str:
    """The hosts file: AWS's endpoints, the internet's known names, and `more`."""
    lines = [f"{AWS_API} {service}.{region}.amazonaws.com {service}.amazonaws.com" for service in SERVICES]
    lines += [f"{CHECKIP} {name}" for name in KNOWN]
    lines += [f"{address} {name}" for name, addresses in more.items() for address in addresses]
    return "".join(f"{line}\n" for line in lines)


class Resolver:
    """One VPC's."""

    def __init__(
        self, router: Place, binaries: Binaries, vpc: IPv4Network, region: str, directory: Path
    ) -> None:
        """`router` is the VPC's; files lie in `directory`, which the lab's own process sees."""
        self._router = router
        self._addresses = (address_in(vpc), LINK_LOCAL)
        self._region = region
        self._hosts = directory / "hosts"
        self._corefile = directory / "Corefile"
        self._process = AgentProcess(
            router,
            binaries.environment,
            (binaries.path("coredns"), "-conf", str(self._corefile)),
            directory / "resolver.log",
        )

    async def start(self, more: Mapping[str, Iterable[IPv4Address]]) -> None:
        """It answers soon after. Raises CommandError."""
        self._hosts.parent.mkdir(parents=True, exist_ok=True)
        self._hosts.write_text(names(self._region, more))
        self._corefile.write_text(corefile(self._addresses, self._hosts, self._region))
        await self._router.ip([f"addr replace {address}/32 dev lo" for address in self._addresses])
        self._process.start()
