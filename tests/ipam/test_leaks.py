from dataclasses import replace

import pytest

from vpccni.ipam.leaks import CLUSTER, CREATED_AT, OLD_ENOUGH, Maker, Stray, Verdict, dated, judge
from vpccni.ipam.managed import INSTANCE
from vpccni.ipam.values import EniId

NOW = 1_800_000_000.0
TAGS = {INSTANCE: "i-1", CLUSTER: "ours", **dict(dated(NOW - OLD_ENOUGH))}
STRAY = Stray(EniId("eni-1"), "available", "aws-K8S-i-1", TAGS)


def verdict(stray: Stray, *, cluster: str = "ours", now: float = NOW) -> Verdict:
    return judge(stray, cluster=cluster, now=now)


def test_an_old_eni_of_ours_that_is_attached_to_nothing_goes() -> None:
    assert verdict(STRAY) is Verdict.DELETE
    assert verdict(STRAY, now=NOW - 1) is Verdict.LEAVE, "it may be on its way"


def test_what_an_earlier_agent_of_the_same_node_left_behind_goes_at_once() -> None:
    made = replace(STRAY, tags={**TAGS, **dict(dated(NOW - 20))})

    def judged_by(instance: str, since: float) -> Verdict:
        return judge(made, cluster="ours", now=NOW, maker=Maker(instance, since))

    assert judged_by("i-1", NOW - 10) is Verdict.DELETE
    assert judged_by("i-1", NOW - 19.5) is Verdict.LEAVE, "perhaps of its first second"
    assert judged_by("i-1", NOW - 30) is Verdict.LEAVE, "its own, on its way"
    assert judged_by("i-2", NOW - 10) is Verdict.LEAVE, "another node's may be on its way"


@pytest.mark.parametrize(
    "stray",
    [
        replace(STRAY, status="in-use"),
        replace(STRAY, description="made by hand"),
        replace(STRAY, tags={k: v for k, v in TAGS.items() if k != INSTANCE}),
        replace(STRAY, tags={**TAGS, CLUSTER: "theirs"}),
        replace(STRAY, tags={k: v for k, v in TAGS.items() if k != CLUSTER}),
    ],
)
def test_what_is_not_surely_ours_is_left_alone(stray: Stray) -> None:
    assert verdict(stray) is Verdict.LEAVE


def test_without_a_clusters_name_only_enis_without_one_are_ours() -> None:
    assert verdict(STRAY, cluster="") is Verdict.LEAVE
    nameless = replace(STRAY, tags={k: v for k, v in TAGS.items() if k != CLUSTER})
    assert verdict(nameless, cluster="") is Verdict.DELETE


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2999-01-01T00:00:00Z"]
)
def test_an_eni_whose_age_nobody_knows_is_dated_and_not_deleted(text: str) -> None:
    assert verdict(replace(STRAY, tags={**TAGS, CREATED_AT: text})) is Verdict.DATE


def test_a_date_of_ours_reads_back() -> None:
    assert verdict(replace(STRAY, tags={**TAGS, **dict(dated(NOW))}), now=NOW + OLD_ENOUGH) is Verdict.DELETE
