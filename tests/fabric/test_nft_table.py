import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import hypothesis.strategies as st
from hypothesis import given

from vpclab.fabric.nft_table import Chain, Elements, Table


@dataclass
class Kernel:
    """What nft would make of a script, refusing what it would refuse."""

    chains: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    sets: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    counters: set[str] = field(default_factory=set)

    def run(self, script: str) -> None:
        for line in script.splitlines():
            verb, kind, *rest = line.split(" ", 5)
            assert rest[:2] == ["ip", "t"] or (kind == "table" and rest == ["ip", "t"]), line
            getattr(self, f"{verb}_{kind}")(*rest[2:])
            assert self.used() <= self.chains.keys() | self.sets.keys() | self.counters, line

    def used(self) -> set[str]:
        rules = [rule for _, rules in self.chains.values() for rule in rules]
        verdicts = [value for _, elements in self.sets.values() for value in elements.values()]
        return {word.lstrip("@") for text in rules + verdicts for word in re.findall(r"@?\bx_\w+", text)}

    def add_table(self) -> None:
        assert self == Kernel()

    def add_chain(self, name: str, hook: str = "") -> None:
        assert name not in self.chains
        self.chains[name] = (hook.strip("{} "), [])

    def flush_chain(self, name: str) -> None:
        self.chains[name][1].clear()

    def delete_chain(self, name: str) -> None:
        assert self.chains.pop(name)[1] == []

    def add_rule(self, name: str, rule: str) -> None:
        self.chains[name][1].append(rule)

    def add_set(self, name: str, spec: str) -> None:
        assert name not in self.sets
        self.sets[name] = (spec.strip("{} "), {})

    add_map = add_set

    def delete_set(self, name: str) -> None:
        del self.sets[name]

    delete_map = delete_set

    def add_element(self, name: str, elements: str) -> None:
        for element in elements.strip("{} ").split(", "):
            key, _, value = element.partition(" : ")
            assert key not in self.sets[name][1], element
            self.sets[name][1][key] = value

    def delete_element(self, name: str, elements: str) -> None:
        for key in elements.strip("{} ").split(", "):
            del self.sets[name][1][key]

    def add_counter(self, name: str) -> None:
        assert name not in self.counters
        self.counters.add(name)

    def delete_counter(self, name: str) -> None:
        self.counters.remove(name)

    def holds(self, table: Table) -> bool:
        return (
            self.chains == {name: (c.hook, list(c.rules)) for name, c in table.chains.items()}
            and self.sets == {name: (s.spec, dict(s.elements)) for name, s in table.sets.items()}
            and self.counters == table.counters
        )


NAMES = ("a", "b", "c")


# made once: a strategy takes longer to make than to draw from
CHAINS, SETS, COUNTERS = (
    st.frozensets(st.sampled_from([f"x_{what}{n}" for n in NAMES])) for what in ("chain", "set", "counter")
)
KEYS = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.1.0/28"])
PLAIN: st.SearchStrategy[Mapping[str, str]] = st.dictionaries(KEYS, st.just(""))
Names = frozenset[str]


@functools.cache
def rules_with(chains: Names, sets: Names, counters: Names) -> st.SearchStrategy[tuple[str, ...]]:
    rule = st.sampled_from(
        ["accept", *(f"jump {c}" for c in sorted(chains)), *(f"ip saddr @{s} drop" for s in sorted(sets)),
         *(f"counter name {c}" for c in sorted(counters))]
    )  # fmt: skip
    return st.lists(rule, max_size=3).map(tuple)


@functools.cache
def verdicts_to(chains: Names) -> st.SearchStrategy[dict[str, str]]:
    goto = st.sampled_from([f"goto {chain}" for chain in sorted(chains)])
    return st.dictionaries(st.sampled_from(['"e1"', '"e2"']), goto)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    chains, sets, counters = draw(CHAINS), draw(SETS), draw(COUNTERS)
    rules = rules_with(chains, sets, counters)
    filled: dict[str, Elements] = {name: Elements("type ipv4_addr;", draw(PLAIN)) for name in sets}
    if chains:
        verdicts = draw(verdicts_to(chains))
        filled["x_map"] = Elements("type ifname : verdict;", verdicts, is_map=True)
    hook = "type filter hook forward priority 0; policy accept;"
    made = {name: Chain(draw(rules), hook if name == "x_chaina" else "") for name in sorted(chains)}
    return Table("ip", "t", made, filled, counters)


@given(st.lists(tables(), min_size=1, max_size=4))
def test_scripts_lead_from_any_table_to_any_other(path: list[Table]) -> None:
    kernel = Kernel()
    before: Table | None = None
    for table in path:
        kernel.run(table.script(before))
        assert kernel.holds(table)
        before = table


@given(tables())
def test_no_difference_is_no_script(table: Table) -> None:
    assert table.script(table) == ""


def test_an_element_more_is_one_line() -> None:
    before = Table("ip", "igw", sets={"known": Elements("type ipv4_addr;", {"10.0.0.1": ""})})
    after = replace(before, sets={"known": Elements("type ipv4_addr;", {"10.0.0.1": "", "10.0.0.2": ""})})
    assert after.script(before) == "add element ip igw known { 10.0.0.2 }\n"
