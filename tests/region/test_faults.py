from __future__ import annotations

import pytest

from vpclab.region import ApiError, Delays, Latency, Rate, Region
from vpclab.region.faults import FaultBook, FaultSpecError, read_fault
from vpclab.region.state import dump, load


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "KIND"),
        ("colour=red", "there are latency, error"),
        ("imds:CreateTags=3", "imds=3"),
        ("imds=3-1", "range of seconds"),
        ("imds=-1", "no number"),
        ("imds=4000", "0 to 3600"),
        ("imds=nan", "no number"),
        ("throttle=maybe", "on or off"),
        ("bucket=3/1", "which call"),
        ("bucket:CreateTags=3", "SIZE/REFILL"),
        ("bucket:CreateTags=0/1", "SIZE/REFILL"),
        ("error=InternalError,count=1", "which call"),
        ("error:*=Internal Error,count=1", "no error code"),
        ("error:*=InternalError", "either count=N or rate=P"),
        ("error:*=InternalError,count=1,rate=0.5", "either"),
        ("error:*=InternalError,count=0", "neither"),
        ("error:*=InternalError,rate=1.5", "neither"),
        ("error:*=InternalError,colour=1", "neither"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_would_be_one(text: str, says: str) -> None:
    with pytest.raises(FaultSpecError, match=says) as caught:
        read_fault(text)
    assert repr(text) in str(caught.value)


def test_each_kind_does_what_it_says_and_clearing_puts_all_back() -> None:
    region = Region(delays=Delays(attach=(1, 1)))
    region.gate.latency = Latency((0.1, 0.1), {"CreateTags": (2, 2)})
    before = (region.delays, region.gate.latency, region.gate.throttle, dict(region.gate.rates))
    book = FaultBook(region)
    for text in ("imds=20", "imds-mac=300", "unknown=2-5", "stale=3", "attach=10-30", "detach=9"):
        book.add(text)
    assert region.delays == Delays(
        attach=(10, 30),
        detach=(9, 9),
        imds=(20, 20),
        imds_mac_linger=(300, 300),
        unknown=(2, 5),
        stale=(3, 3),
    )
    book.add("latency:DescribeSubnets=1")
    assert region.gate.call_seconds("DescribeSubnets") == 1
    assert region.gate.call_seconds("CreateTags") == 2
    book.add("latency=0.5")
    assert region.gate.call_seconds("DescribeSubnets") == region.gate.call_seconds("CreateTags") == 0.5
    book.add("throttle=off")
    assert not region.gate.throttle
    book.add("bucket:CreateTags=2/1")
    assert region.gate.rates["CreateTags"] == Rate(2, 1)
    book.add("error:*=InternalError,count=2")
    assert len(book.clear()) == 11
    assert (region.delays, region.gate.latency, region.gate.throttle, region.gate.rates) == before
    region.gate.admit("CreateTags", 0.0)
    assert book.listed() == []


def test_faults_are_cleared_one_by_one_in_any_order() -> None:
    region = Region()
    book = FaultBook(region)
    first, second = book.add("imds=20"), book.add("imds=5")
    assert region.delays.imds == (5, 5)
    assert book.clear([first]) == [first]
    assert region.delays.imds == (5, 5)
    book.clear([second])
    assert region.delays.imds == (0, 0)
    with pytest.raises(KeyError):
        book.clear([second])


def test_errors_are_counted_and_have_their_status() -> None:
    region = Region()
    book = FaultBook(region)
    book.add("error:CreateTags=InternalError,count=2")
    for left in (1, 0):
        with pytest.raises(ApiError) as caught:
            region.gate.admit("CreateTags", 0.0)
        assert (caught.value.code, caught.value.status) == ("InternalError", 500)
        assert book.listed() == [
            {
                "id": "f1",
                "fault": "error:CreateTags=InternalError,count=2",
                "left": left,
                "hits": 2 - left,
            }
        ]
    region.gate.admit("CreateTags", 0.0)
    book.clear()  # used up already


def test_a_rate_is_kept_and_is_the_seeds() -> None:
    def failed(seed: int) -> list[bool]:
        region = Region(seed=seed, throttle=False)
        FaultBook(region).add("error:CreateTags=ServiceUnavailable,rate=0.3")
        return [_fails(region) for _ in range(500)]

    assert failed(1) == failed(1) != failed(2)
    assert 100 <= sum(failed(1)) <= 200


def _fails(region: Region) -> bool:
    try:
        region.gate.admit("CreateTags", 0.0)
    except ApiError:
        return True
    return False


def test_a_bucket_that_changes_begins_full_and_the_others_go_on() -> None:
    region = Region()
    book = FaultBook(region)
    for _ in range(5):
        region.gate.admit("RunInstances", 0.0)
    key = book.add("bucket:CreateTags=1/0.5")
    region.gate.admit("CreateTags", 0.0)
    for action in ("CreateTags", "RunInstances"):
        with pytest.raises(ApiError, match="RequestLimitExceeded"):
            region.gate.admit(action, 0.0)
    region.gate.admit("CreateTags", 2.0)
    book.clear([key])
    region.gate.admit("CreateTags", 2.0)


def test_faults_outlive_the_process_and_can_still_be_cleared() -> None:
    region = Region(delays=Delays(attach=(1, 1)))
    before = region.delays
    book = FaultBook(region)
    for text in ("attach=5", "error:CreateTags=InternalError,count=1", "throttle=off"):
        book.add(text)
    with pytest.raises(ApiError):
        region.gate.admit("CreateTags", 0.0, whole=False)
    kept, book_kept = load(dump((region.state, book.lasting())))
    again = Region(state=kept)
    book = FaultBook.restored(again, book_kept)
    assert [one["fault"] for one in book.listed()] == ["attach=5", "throttle=off"], (
        "the other has failed all its calls"
    )
    assert (again.delays.attach, again.gate.throttle, again.gate.faults) == ((5, 5), False, [])
    book.clear()
    assert (again.delays, again.gate.throttle) == (before, True)
