"""An export has one owner, and stays as it is while another stack uses it."""

import pytest

from vpclab.cloudformation.exports import Exports
from vpclab.cloudformation.stack import Stack
from vpclab.cloudformation.values import DELETED
from vpclab.region.values import ApiError

MADE = 1.0


def test_what_is_put_can_be_used_and_is_taken_away_with_its_stack() -> None:
    one, two = Stack("one", "id-1", MADE), Stack("two", "id-2", MADE)
    exports = Exports(lambda: (one, two))
    exports.put(one, {"a": "1", "b": "2"})
    exports.put(two, {"c": "3"})
    assert [exports.value(name) for name in "abcd"] == ["1", "2", "3", None]
    exports.put(one, {"b": "4"})
    assert [exports.value(name) for name in "abc"] == [None, "4", "3"]
    exports.withdraw(one)
    assert exports.by_name == {"c": ("id-2", "3")}


def test_what_is_in_use_stays_until_its_users_are_gone() -> None:
    one, two = Stack("one", "id-1", MADE), Stack("two", "id-2", MADE, imports=frozenset({"a"}))
    exports = Exports(lambda: (one, two))
    exports.put(one, {"a": "1", "b": "2"})
    assert (exports.importers("a"), exports.used(one), exports.used(two)) == (["two"], ["a"], [])
    for wanted, deed in (({"a": "other"}, "updated"), ({"b": "2"}, "deleted")):
        with pytest.raises(ApiError, match=f"Export a cannot be {deed} as it is in use by two"):
            exports.put(one, wanted)
        assert exports.by_name == {"a": ("id-1", "1"), "b": ("id-1", "2")}, "nothing is changed"
    exports.put(one, {"a": "1", "b": "3"})
    two.status = DELETED
    exports.put(one, {})
    assert exports.by_name == {}


def test_a_name_has_one_owner() -> None:
    one, two = Stack("one", "id-1", MADE), Stack("two", "id-2", MADE)
    exports = Exports(lambda: (one, two))
    exports.put(one, {"a": "1"})
    with pytest.raises(ApiError, match="a is already exported by stack one"):
        exports.put(two, {"b": "2", "a": "2"})
    assert exports.by_name == {"a": ("id-1", "1")}
