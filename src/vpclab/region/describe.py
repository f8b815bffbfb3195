"""The Describe calls: by ids or filters, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from vpclab.region import readers
from vpclab.region.errors import contradiction, invalid, not_found
from vpclab.region.filters import Described, Filters, Page, Reader, matching, paged
from vpclab.region.tables import Tables
from vpclab.region.values import (
    EniStatus,
    Instance,
    InternetGateway,
    NetworkInterface,
    SecurityGroup,
    Subnet,
    Vpc,
)

T = TypeVar("T", bound=Described)
MIN_PAGE, MAX_PAGE = 5, 1000
"""MaxResults of the Describe calls (EC2 API reference)."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to describe: these ids or all; of them those that match; in pages of `max_results` or at once."""

    ids: tuple[str, ...] = ()
    filters: Filters = field(default_factory=dict, hash=False)
    max_results: int | None = None
    next_token: str | None = None

    def check_page(self, *, most: int = MAX_PAGE) -> None:
        """Raises ApiError: InvalidParameterCombination (a page size with ids), InvalidParameterValue (its size)."""
        if self.max_results is None:
            return
        if self.ids:
            raise contradiction("The parameter MaxResults cannot be used with a list of ids")
        if not MIN_PAGE <= self.max_results <= most:
            raise invalid(
                f"Value ( {self.max_results} ) for parameter maxResults is invalid. Expecting {MIN_PAGE} to {most}."
            )

    @property
    def whole(self) -> bool:
        """Whether everything is asked for at once: a dearer call (aws-emulation 4.3)."""
        return not self.ids and not self.filters and self.max_results is None


ALL = Query()


class Describe:
    """Operations that only read.

    Each raises ApiError: the id's NotFound, InvalidParameterValue (filter, page size, token), InvalidParameterCombination (ids
    with a page size).
    """

    def __init__(self, tables: Tables, enis_of: Callable[[str], tuple[NetworkInterface, ...]]) -> None:
        self._tables = tables
        self._of_vpcs = readers.of_vpcs(tables.account)
        self._of_subnets = readers.of_subnets(tables)
        self._of_gateways = readers.of_internet_gateways(tables.account)
        self._of_groups = readers.of_security_groups(tables.account)
        self._of_enis = readers.of_enis(tables)
        self._of_instances = readers.of_instances(tables, enis_of)

    def vpcs(self, query: Query = ALL) -> Page[Vpc]:
        """DescribeVpcs."""
        return self._page("vpc", self._tables.vpcs, query, self._of_vpcs)

    def subnets(self, query: Query = ALL) -> Page[Subnet]:
        """DescribeSubnets."""
        return self._page("subnet", self._tables.subnets, query, self._of_subnets)

    def internet_gateways(self, query: Query = ALL) -> Page[InternetGateway]:
        """DescribeInternetGateways."""
        return self._page("igw", self._tables.gateways, query, self._of_gateways)

    def security_groups(self, query: Query = ALL) -> Page[SecurityGroup]:
        """DescribeSecurityGroups."""
        return self._page("sg", self._tables.groups, query, self._of_groups)

    def instances(self, query: Query = ALL) -> Page[Instance]:
        """DescribeInstances: a terminated one for an hour more."""
        return self._page("i", self._tables.instances, query, self._of_instances)

    def network_interfaces(self, query: Query = ALL) -> Page[NetworkInterface]:
        """DescribeNetworkInterfaces."""
        tables = self._tables
        late = tables.propagation.described(tables.enis, tables.ordinals, tables.now)
        if late is not None:
            # the indexes are of the truth; what is shown is not: every ENI is looked at
            shown, ordinals = late
            return self._page("eni", shown, query, self._of_enis, ordinals=ordinals)
        return self._page("eni", tables.enis, query, self._of_enis, self._candidates(query))

    def _candidates(self, query: Query) -> Iterable[NetworkInterface]:
        """By index where a filter names ENIs, instances or subnets outright: a region has many ENIs, a node few."""
        tables = self._tables
        for name, index in (
            ("attachment.instance-id", tables.enis_by_instance),
            ("subnet-id", tables.enis_by_subnet),
        ):
            values = _plain(query.filters.get(name, ()))
            if values:
                return self._in_order(key for value in values for key in index.get(value, ()))
        if tuple(query.filters.get("status", ())) == (EniStatus.AVAILABLE.value,):
            return self._in_order(tables.unattached)
        return self._in_order(_plain(query.filters.get("network-interface-id", ()))) or tables.enis.values()

    def _in_order(self, keys: Iterable[str]) -> list[NetworkInterface]:
        known = {key for key in keys if key in self._tables.enis}
        return [self._tables.enis[key] for key in sorted(known, key=self._tables.ordinals.__getitem__)]

    def _page(
        self,
        kind: str,
        table: Mapping[str, T],
        query: Query,
        of_kind: Mapping[str, Reader[T]],
        candidates: Iterable[T] | None = None,
        ordinals: Mapping[str, int] | None = None,
    ) -> Page[T]:
        query.check_page()
        if query.ids:
            missing = next((wanted for wanted in query.ids if wanted not in table), None)
            if missing is not None:
                raise not_found(missing, kind)
            candidates = [table[wanted] for wanted in dict.fromkeys(query.ids)]
        elif candidates is None:
            candidates = table.values()
        found = matching(candidates, query.filters, of_kind)
        places = self._tables.ordinals if ordinals is None else ordinals
        return paged(found, places, query.max_results, query.next_token)


def _plain(values: Sequence[str]) -> Sequence[str]:
    """The values, if none of them is a pattern."""
    return () if any(set(value) & set("*?\\") for value in values) else values
