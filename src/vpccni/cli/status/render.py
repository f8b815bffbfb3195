"""The agent's /v2/status as text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Plain = Mapping[str, Any]
ASSIGNED, WARM, COOLING, LEAVING, EMPTY = "#", "o", "~", "<", "."
LEGEND = f"{ASSIGNED} assigned  {WARM} warm  {COOLING} cooling  {LEAVING} going back  {EMPTY} empty place"
PREFIX_LEGEND = "[n] a prefix with n of its 16 addresses assigned, ~ some cooling"


def render(status: Plain, *, wide: bool = False) -> str:
    """All of it; `wide`: with subnets, addresses and each block."""
    return "\n".join(_lines(status, wide=wide))


def cell(slot: Plain) -> str:
    """One place of an ENI that holds something."""
    if slot["kind"] == "prefix":
        inside = LEAVING if slot["leaving"] else f"{slot['assigned']}{COOLING if slot['cooling'] else ''}"
        return f"[{inside}]"
    if slot["leaving"]:
        return LEAVING
    return ASSIGNED if slot["assigned"] else COOLING if slot["cooling"] else WARM


def _lines(status: Plain, *, wide: bool) -> Iterator[str]:
    readiness = status["readiness"]
    ready = "ready" if readiness["ready"] else f"not ready ({readiness['condition']}, {readiness['phase']})"
    yield f"{status['node'] or 'this node'}  vpc-cni {status['version']}  {_time(status['at'])}  {ready}"
    for why in readiness["because"]:
        yield from _blocker("  because of", why)
    prefixes = False
    for pool in status["pools"]:
        yield ""
        yield from _pool(pool, wide=wide)
        prefixes = prefixes or any(s["kind"] == "prefix" for eni in pool["enis"] for s in eni["content"])
    yield ""
    yield f"  {LEGEND}" + (f"  {PREFIX_LEGEND}" if prefixes else "")
    low = [each for each in status["budget"] if wide or each["tokens"] < each["size"] / 2]
    if low:
        yield ""
        yield "EC2 calls that may be made now, of how many at once, and again by the second"
        for each in low:
            yield f"  {each['action']:<34}{each['tokens']:>8.1f} of {each['size']:<6g} +{each['refill']:g}"
    if status["facts"]:
        yield ""
        yield "heard  " + ", ".join(f"{fact['name']} {_age(fact['age'])} ago" for fact in status["facts"])


def _pool(pool: Plain, *, wide: bool) -> Iterator[str]:
    numbers, targets = pool["numbers"], pool["targets"]
    yield (
        f"pool of card {pool['network_card']}: {numbers['total']} addresses, {numbers['assigned']} assigned, "
        f"{numbers['free']} free, {numbers['cooling']} cooling; {numbers['enis']} of {numbers['most_enis']} ENIs, "
        f"{numbers['slots_per_eni']} places each; max pods {numbers['max_pods']}"
    )
    wants = [f"{targets['short']} short"] if targets["short"] else []
    wants += [f"{targets['surplus']} too many"] if targets["surplus"] else []
    yield f"  targets  {targets['in_force']} ({targets['mode']}): {', '.join(wants) or 'met'}"
    for asked in pool["under_way"]:
        yield f"  asked    {asked}"
    if pool["next"] is not None:
        at = pool["next"]["at"]
        yield f"  next     {pool['next']['what']}" + (f", at {_time(at)}" if at else "")
    if pool["blocker"] is not None:
        yield from _blocker("  BLOCKED ", pool["blocker"])
    for eni in pool["enis"]:
        yield from _eni(eni, wide=wide)


def _eni(eni: Plain, *, wide: bool) -> Iterator[str]:
    cells = [cell(slot) for slot in eni["content"]] + [EMPTY] * max(0, eni["slots"] - eni["slots_used"])
    marks = [
        word for word, is_so in (("primary", eni["primary"]), (eni["role"], eni["role"] != "plain")) if is_so
    ]
    marks += [] if eni["gives_addresses"] else ["gives pods none"]
    name = eni["id"] + (f" ({', '.join(marks)})" if marks else "")
    yield f"  eth{eni['device_index']}  {name:<34} {''.join(cells)}"
    if eni["under_way"]:
        yield f"        {eni['under_way']}"
    if eni["called_full"] is not None:
        yield f"        EC2 calls it full: {eni['called_full']['detail']}"
    if wide:
        yield (
            f"        {eni['address']} in {eni['subnet']} ({eni['subnet_cidr']}), {eni['mac']}, table "
            f"{eni['route_table']}, since {_time(eni['since'])}"
        )
        for slot in eni["content"]:
            yield f"        {slot['block']:<20} {slot['assigned']} assigned, {slot['cooling']} cooling, {slot['free']} free"


def _blocker(head: str, blocker: Plain) -> Iterator[str]:
    yield f"{head} {blocker['reason']}: {blocker['detail']}"
    yield f"           {blocker['advice']}"


def _time(text: str) -> str:
    """The time of the day, in UTC."""
    return text.partition("T")[2].partition(".")[0] + "Z"


def _age(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
