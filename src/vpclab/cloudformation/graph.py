"""Which resource waits for which: order and circles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vpclab.cloudformation.errors import refused

Graph = Mapping[str, frozenset[str]]
"""By node: what it depends on."""


def check_circles(graph: Graph) -> None:
    """Raises ApiError: ValidationError naming every resource that is in a circle."""
    circular = sorted(node for group in _strong(graph) for node in group)
    if circular:
        raise refused(f"Circular dependency between resources: [{', '.join(circular)}]")


def reversed_graph(graph: Graph) -> dict[str, frozenset[str]]:
    """By node: what depends on it; the order in which things go."""
    dependants: dict[str, set[str]] = {node: set() for node in graph}
    for node, needs in graph.items():
        for need in needs & graph.keys():
            dependants[need].add(node)
    return {node: frozenset(of) for node, of in dependants.items()}


def _strong(graph: Graph) -> Iterator[list[str]]:
    """Groups of nodes that reach each other, and nodes that reach themselves directly: Tarjan's, without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for root in graph:
        if root in index:
            continue
        work: list[tuple[str, Iterator[str]]] = [(root, iter(sorted(graph[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            below = next((one for one in rest if one in graph), None)
            if below is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = _popped(stack, on_stack, node)
                    if len(group) > 1 or node in graph[node]:
                        yield group
            elif below not in index:
                index[below] = low[below] = len(index)
                stack.append(below)
                on_stack.add(below)
                work.append((below, iter(sorted(graph[below]))))
            elif below in on_stack:
                low[node] = min(low[node], index[below])


def _popped(stack: list[str], on_stack: set[str], until: str) -> list[str]:
    group: list[str] = []
    while True:
        node = stack.pop()
        on_stack.discard(node)
        group.append(node)
        if node == until:
            return group
