"""The lines that lead from one state to another, tried on a model of what `ip` does."""

import functools
import shlex
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

import hypothesis.strategies as st
from hypothesis import given

from vpclab.fabric.eni import Link
from vpclab.fabric.namespaces import Namespaces
from vpclab.fabric.router import changes
from vpclab.fabric.state import FabricState

PLACES = {f"i-{n}": Namespaces(n * 10, n * 10 + 1, n * 10 + 2) for n in range(3)}


@dataclass
class Kernel:
    """Links take their routes along when they go, but not their rules; what is there cannot be added."""

    links: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    neighbours: dict[str, str] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    rules: set[tuple[str, int]] = field(default_factory=set)
    marks: set[int] = field(default_factory=set)
    tables: dict[tuple[int, str], str] = field(default_factory=dict)
    addresses: set[str] = field(default_factory=set)
    blackholes: set[str] = field(default_factory=set)
    up: set[str] = field(default_factory=set)

    def run(self, line: str) -> None:  # noqa: C901, PLR0912 - one case for each kind of line
        match shlex.split(line):
            case ["link", "add", name, "mtu", "9001", "address", _, "type", "veth", "peer", "name", device,
                  "mtu", "9001", "address", mac, "netns", path]:  # fmt: skip
                assert name not in self.links
                assert (path, device) not in {(at, its) for at, its, _ in self.links.values()}, "name taken"
                self.links[name] = (path, device, mac)
            case ["link", "set", name, "up"]:
                assert name in self.links
                self.up.add(name)
            case ["link", "set", name, "group", group]:
                assert name in self.links
                self.groups[name] = group
            case ["link", "del", "group", group]:
                for name in [name for name, its in self.groups.items() if its == group]:
                    self.delete(name)
            case ["link", "del", name]:
                self.delete(name)
            case ["neigh", "replace", "169.254.0.1", "lladdr", mac, "dev", name, "nud", "permanent"]:
                assert name in self.up
                self.neighbours[name] = mac
            case ["rule", "add", "pref", "33000", "iif", name, "lookup", table]:
                assert (name, int(table)) not in self.rules
                self.rules.add((name, int(table)))
            case ["rule", "del", "pref", "33000", "iif", name, "lookup", table]:
                self.rules.remove((name, int(table)))
            case ["rule", "add", "pref", "32000", "fwmark", mark, "lookup", table]:
                assert mark == table
                assert int(mark) not in self.marks
                self.marks.add(int(mark))
            case ["rule", "del", "pref", "32000", "fwmark", mark, "lookup", _]:
                self.marks.remove(int(mark))
            case ["route", "replace", network, "via", "169.254.0.1", "dev", name, "onlink", "table", table]:
                assert name in self.up
                self.tables[int(table), network] = name
            case ["route", "replace", network, "dev", "nowhere", "table", table]:
                self.tables[int(table), network] = "nowhere"
            case ["route", "del", network, "via", "169.254.0.1", "dev", name, "onlink", "table", table]:
                assert self.tables.pop((int(table), network)) == name
            case ["route", "del", network, "dev", "nowhere", "table", table]:
                assert self.tables.pop((int(table), network)) == "nowhere"
            case ["route", "replace", network, "via", "169.254.0.1", "dev", name, "onlink"]:
                assert name in self.up
                self.routes[network] = name
            case ["route", "del", network, "via", "169.254.0.1", "dev", name, "onlink"]:
                assert self.routes.pop(network) == name
            case ["addr", "add", address, "dev", "lo"]:
                assert address not in self.addresses
                self.addresses.add(address)
            case ["addr", "del", address, "dev", "lo"]:
                self.addresses.remove(address)
            case ["route", "add", "blackhole", network]:
                assert network not in self.blackholes
                self.blackholes.add(network)
            case ["route", "del", "blackhole", network]:
                self.blackholes.remove(network)
            case _:
                raise AssertionError(line)

    def delete(self, name: str) -> None:
        del self.links[name]
        self.groups.pop(name, None)
        self.neighbours.pop(name, None)
        self.up.discard(name)
        self.routes = {network: dev for network, dev in self.routes.items() if dev != name}
        self.tables = {key: dev for key, dev in self.tables.items() if dev != name}

    def holds(self, state: FabricState) -> None:
        ends = {
            name: (f"fd/{PLACES[link.instance_id].net}", link.device, link.mac)
            for name, link in state.links.items()
        }
        assert {name: (at[at.index("fd/") :], *rest) for name, (at, *rest) in self.links.items()} == ends
        assert self.up == set(ends)
        assert self.neighbours == {name: link.mac for name, link in state.links.items()}
        assert self.routes == {str(n): name for name, networks in state.held.items() for n in networks}
        assert self.rules == {(name, link.table) for name, link in state.links.items() if link.table}
        assert self.marks == set(state.marks)
        assert self.tables == {
            (table, str(network)): to for table, its in state.tables.items() for network, to in its.items()
        }
        assert self.addresses == {f"{gateway}/32" for gateway in state.gateways}
        assert self.blackholes == {str(cidr) for cidr in state.cidrs}


# made once: a strategy takes longer to make than to draw from
NUMBERS = st.sets(st.integers(1, 4))
INSTANCES = st.sampled_from(sorted(PLACES))
DEVICES = st.sampled_from(["eth0", "eth1", "eth2", "eth3"])
MACS = st.integers(1, 2).map("02:00:00:00:00:{:02}".format)
ON_OR_OFF = st.booleans()
LINK_TABLES = st.integers(0, 2)
NETWORKS = st.integers(0, 5).map(lambda n: IPv4Network((0x0A000100 + n, 32)))
SOME = st.sets(st.integers(1, 3))
TABLES = st.integers(1, 2)


Held = st.SearchStrategy[dict[IPv4Network, str]]
Marks = st.SearchStrategy[dict[int, str]]
Tables = st.SearchStrategy[dict[int, dict[IPv4Network, str]]]


@functools.cache
def between(links: tuple[str, ...]) -> tuple[Held, Marks, Tables]:
    """Which of these links has an address, which one a mark leads to, and where the tables' routes go."""
    tables = st.dictionaries(TABLES, st.dictionaries(NETWORKS, st.sampled_from(("nowhere", *links))))
    if not links:
        return st.just({}), st.just({}), tables
    link = st.sampled_from(links)
    return st.dictionaries(NETWORKS, link), st.dictionaries(TABLES, link), tables


@st.composite
def states(draw: st.DrawFn) -> FabricState:
    links: dict[str, Link] = {}
    devices: set[tuple[str, str]] = set()
    for number in sorted(draw(NUMBERS)):
        instance = draw(INSTANCES)
        device = draw(DEVICES)
        if (instance, device) in devices:
            continue
        devices.add((instance, device))
        link = Link(f"eni-{number}", instance, device, draw(MACS), draw(ON_OR_OFF), draw(LINK_TABLES))
        links[link.name] = link
    held, marks, tables = between(tuple(sorted(links)))
    holders = draw(held)
    return FabricState(
        cidrs=frozenset(IPv4Network((0x0A000000 + (n << 16), 16)) for n in draw(SOME)),
        gateways=frozenset(IPv4Address(0x0A000001 + (n << 16)) for n in draw(SOME)),
        links=links,
        held={name: frozenset(n for n, its in holders.items() if its == name) for name in links},
        tables=draw(tables),
        marks=draw(marks),
    )


@given(st.lists(states(), min_size=1, max_size=4))
def test_lines_lead_from_any_state_to_any_other(path: list[FabricState]) -> None:
    kernel = Kernel()
    before = FabricState()
    for state in path:
        for line in changes(before, state, PLACES):
            kernel.run(line)
        kernel.holds(state)
        before = state


@given(states())
def test_no_difference_is_no_line(state: FabricState) -> None:
    assert list(changes(state, state, PLACES)) == []


def test_an_address_that_moves_is_one_line() -> None:
    links = {f"e{n}": Link(f"eni-{n}", f"i-{n}", "eth0", f"02:00:00:00:00:0{n}") for n in (1, 2)}
    address = IPv4Network("10.0.1.40/32")
    before = FabricState(links=links, held={"e1": frozenset({address}), "e2": frozenset()})
    after = replace(before, held={"e1": frozenset(), "e2": frozenset({address})})
    assert list(changes(before, after, PLACES)) == [
        "route replace 10.0.1.40/32 via 169.254.0.1 dev e2 onlink"
    ]
