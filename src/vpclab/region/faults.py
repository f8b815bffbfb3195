"""What can be made to go wrong, as a person writes it: `KIND[:CALL]=VALUE[,OPTION=VALUE…]`.

    latency=0.2-0.5                                    every call takes so many seconds
    latency:AssignPrivateIpAddresses=1                 this call does
    error:AttachNetworkInterface=InternalError,count=3 its next three calls fail with this code
    error:*=InternalError,rate=0.3                     each call fails with this probability
    throttle=on | throttle=off                         the account's rate limits
    bucket:CreateNetworkInterface=2/0.5                that call's limit: so many at once, so many more a second
    imds=20                                            IMDS lags behind EC2
    imds-mac=300                                       IMDS goes on listing a detached ENI's MAC
    unknown=2-5                                        calls that name a created ENI do not find it for so long
    stale=2-5                                          describes show an ENI as it was, for so long after a change
    attach=10-30, detach=10                            how long those take

Seconds are a number or a range that is drawn from uniformly, by the region's seed. A later fault of a kind and call outdoes an
earlier one; errors add up. What is cleared is as it was before the first fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from vpclab.region.gate import Fault, Latency, Rate
from vpclab.region.region import Region

DELAYS: Mapping[str, str] = MappingProxyType(
    {
        "imds": "imds",
        "imds-mac": "imds_mac_linger",
        "unknown": "unknown",
        "stale": "stale",
        "attach": "attach",
        "detach": "detach",
    }
)
"""Kinds that are a field of `Delays`."""
STATUS: Mapping[str, int] = MappingProxyType(
    {
        "InternalError": 500,
        "InternalFailure": 500,
        "ServiceUnavailable": 503,
        "Unavailable": 503,
        "RequestLimitExceeded": 503,
        "UnauthorizedOperation": 403,
        "AuthFailure": 401,
    }
)
"""HTTP statuses of codes; all others are 400."""
LONGEST = 3600.0
"""Seconds that anything may be made to take."""
_SPEC = re.compile(r"(?P<kind>[a-z-]+)(?::(?P<call>[A-Za-z0-9*]+|[a-z]+:[A-Za-z0-9]+))?=(?P<value>.+)\Z")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]*\Z")


class FaultSpecError(ValueError):
    """A text that is no fault; the message says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """One fault, read. Numbers that its kind does not use are None."""

    text: str
    kind: str
    call: str | None = None
    seconds: tuple[float, float] = (0.0, 0.0)
    code: str = ""
    count: int | None = None
    rate: float | None = None
    on: bool = True
    bucket: Rate | None = None


def read_fault(text: str) -> FaultSpec:
    """A fault from its text. Raises FaultSpecError."""
    match = _SPEC.match(text)
    if match is None:
        raise FaultSpecError(f"{text!r} is not KIND[:CALL]=VALUE, like latency=0.2-0.5 or imds=20")
    kind, call, value = match["kind"], match["call"], match["value"]
    if kind not in {"error", "bucket", "latency"} and call is not None:
        raise FaultSpecError(f"{text!r}: {kind} is not of one call; write {kind}={value}")
    if kind in DELAYS or kind == "latency":
        return FaultSpec(text, kind, call, seconds=_seconds(text, value))
    if kind == "throttle":
        if value not in {"on", "off"}:
            raise FaultSpecError(f"{text!r}: throttle is on or off")
        return FaultSpec(text, kind, on=value == "on")
    if kind == "bucket":
        return FaultSpec(text, kind, _needed(text, call), bucket=_bucket(text, value))
    if kind == "error":
        return _error(text, _needed(text, call), value)
    known = ", ".join(("latency", "error", "throttle", "bucket", *DELAYS))
    raise FaultSpecError(f"{text!r}: there is no fault {kind}; there are {known}")


def _error(text: str, call: str, value: str) -> FaultSpec:
    code, *options = value.split(",")
    if not _CODE.match(code):
        raise FaultSpecError(f"{text!r}: {code!r} is no error code, like InternalError")
    given: dict[str, Any] = {}
    for option in options:
        name, _, number = option.partition("=")
        if name == "count" and number.isdecimal() and int(number) > 0:
            given[name] = int(number)
        elif name == "rate" and 0 < (rate := _number(text, number)) <= 1:
            given[name] = rate
        else:
            raise FaultSpecError(f"{text!r}: {option!r} is neither count=N nor rate=P with 0 < P ≤ 1")
    if len(given) != 1:
        raise FaultSpecError(f"{text!r}: say either count=N or rate=P")
    return FaultSpec(text, "error", call, code=code, **given)


def _needed(text: str, call: str | None) -> str:
    if call is None:
        raise FaultSpecError(
            f"{text!r}: of which call? CALL is an EC2 action, another service's like eks:DescribeCluster, or * for any"
        )
    return call


def _seconds(text: str, value: str) -> tuple[float, float]:
    low, dash, high = value.partition("-")
    between = (_number(text, low), _number(text, high if dash else low))
    if not 0 <= between[0] <= between[1] <= LONGEST:
        raise FaultSpecError(f"{text!r}: {value!r} is no range of seconds from 0 to {LONGEST:.0f}")
    return between


def _bucket(text: str, value: str) -> Rate:
    size, slash, refill = value.partition("/")
    rate = Rate(_number(text, size), _number(text, refill)) if slash else None
    if rate is None or rate.size < 1 or rate.refill <= 0:
        raise FaultSpecError(f"{text!r}: {value!r} is not SIZE/REFILL: calls at once, calls more a second")
    return rate


def _number(text: str, word: str) -> float:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", word) is None:
        raise FaultSpecError(f"{text!r}: {word!r} is no number")
    return float(word)


@dataclass(frozen=True, slots=True)
class _Entry:
    id: str
    spec: FaultSpec
    fault: Fault | None


class FaultBook:
    """The faults that are on in a region. What they change is the book's alone from its making on."""

    def __init__(self, region: Region) -> None:
        self._region = region
        gate = region.gate
        self._delays = region.delays
        self._latency = Latency(gate.latency.every, dict(gate.latency.by_action))
        self._throttle = gate.throttle
        self._rates = dict(gate.rates)
        self._entries: dict[str, _Entry] = {}
        self._made = 0

    def add(self, text: str) -> str:
        """Switch a fault on; its id. Raises FaultSpecError."""
        spec = read_fault(text)
        self._made += 1
        fault = None
        if spec.kind == "error":
            fault = self._region.fault(
                spec.call or "*",
                spec.code,
                status=STATUS.get(spec.code, 400),
                count=spec.count,
                rate=spec.rate,
            )
        entry = _Entry(f"f{self._made}", spec, fault)
        self._entries[entry.id] = entry
        self._apply()
        return entry.id

    def clear(self, ids: Iterable[str] | None = None) -> list[str]:
        """Switch these off, or all; those that were on. Raises KeyError for an unknown one, with nothing changed."""
        chosen = list(self._entries) if ids is None else [self._entries[key].id for key in ids]
        for key in dict.fromkeys(chosen):
            entry = self._entries.pop(key)
            if entry.fault in self._region.gate.faults:
                self._region.gate.faults.remove(entry.fault)
        self._apply()
        return chosen

    def listed(self) -> list[dict[str, Any]]:
        """Those that are on: id, text, calls left to fail (None: no end), calls failed so far."""
        return [
            {
                "id": entry.id,
                "fault": entry.spec.text,
                "left": None if entry.fault is None else entry.fault.count,
                "hits": None if entry.fault is None else entry.fault.hits,
            }
            for entry in self._entries.values()
        ]

    def lasting(self) -> dict[str, Any]:
        """What there is to keep: the faults that are on and have calls left to fail, and what was there before the first."""
        texts = [e.spec.text for e in self._entries.values() if e.fault is None or e.fault.count != 0]
        return {
            "texts": texts,
            "delays": self._delays,
            "latency": self._latency,
            "throttle": self._throttle,
            "rates": self._rates,
        }

    @classmethod
    def restored(cls, region: Region, kept: Mapping[str, Any]) -> FaultBook:
        """The book of a region that was kept: its faults are written anew, and count from the beginning."""
        gate = region.gate
        gate.faults.clear()
        region.delays, gate.latency, gate.throttle = kept["delays"], kept["latency"], kept["throttle"]
        gate.set_rates(kept["rates"])
        book = cls(region)
        for text in kept["texts"]:
            book.add(text)
        return book

    def _apply(self) -> None:
        """Everything anew from what was there before the first fault: so the order of clearing does not matter."""
        delays, throttle = self._delays, self._throttle
        latency = Latency(self._latency.every, dict(self._latency.by_action))
        rates = dict(self._rates)
        for entry in self._entries.values():
            spec = entry.spec
            if spec.kind in DELAYS:
                delays = replace(delays, **{DELAYS[spec.kind]: spec.seconds})
            elif spec.kind == "throttle":
                throttle = spec.on
            elif spec.kind == "bucket" and spec.bucket is not None and spec.call is not None:
                rates[spec.call] = spec.bucket
            elif spec.kind == "latency" and spec.call in {None, "*"}:
                latency = Latency(spec.seconds)
            elif spec.kind == "latency" and spec.call is not None:
                latency.by_action[spec.call] = spec.seconds
        self._region.delays = delays
        gate = self._region.gate
        gate.throttle, gate.latency = throttle, latency
        gate.set_rates(rates)
