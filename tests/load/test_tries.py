"""What `make load` may measure again, and how often: what took too long, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.load import __main__ as load
from tests.load.__main__ import DISTURBED, LATE, LOST
from tests.load.frame import Figure, Spread


def test_only_a_time_is_late() -> None:
    assert Figure("99 % of them", 500, "ms", 400).is_late
    assert Spread("fill to its row", [10, 500], 150).is_late
    for other in (
        Figure("99 % of them", 300, "ms", 400),
        Figure("lost", 1, "events", 0),
        Figure("never seen", 1, "", 0),
        Figure("memory more", 31, "MB", 30),
        Spread("nothing was measured", [], 150),
        Spread("in time", [10], 150),
    ):
        assert not other.is_late


@pytest.mark.parametrize(
    ("answers", "left", "asked"),
    [
        ([{}], [], [["a", "b"]]),
        ([{"a": LATE}, {}], [], [["a", "b"], ["a"]]),
        ([{"a": LATE}] * 3, ["a"], [["a", "b"], ["a"], ["a"]]),
        ([{"b": LOST}], ["b"], [["a", "b"]]),
        ([{"a": LATE, "b": LOST}, {"a": LOST}], ["b", "a"], [["a", "b"], ["a"]]),
        (
            [{"a": DISTURBED, "b": LATE}, {"a": LATE, "b": LATE}, {"a": LATE, "b": LATE}, {}],
            ["b"],
            [["a", "b"], ["a", "b"], ["a", "b"], ["a"]],
        ),
        ([{"a": DISTURBED}] * 5 + [{"a": LATE}] * 2 + [{}], [], [["a", "b"]] + [["a"]] * 7),
        ([{"a": DISTURBED}] * 8, ["a"], [["a", "b"]] + [["a"]] * 7),
    ],
)
def test_what_is_lost_once_stays_missed(
    monkeypatch: pytest.MonkeyPatch, answers: Sequence[Mapping[str, str]], left: list[str], asked: list[list[str]]
) -> None:
    coming: Iterator[Mapping[str, str]] = iter(answers)
    houses: list[list[str]] = []

    def house(vendor: str, names: Sequence[str]) -> Mapping[str, str]:
        houses.append(list(names))
        return next(coming)

    monkeypatch.setattr(load, "_in_a_house", house)
    assert load._tried("sqlite", ["a", "b"], 3) == left
    assert houses == asked


def test_a_run_that_came_to_no_end_is_not_made_again() -> None:
    assert load._tried("neither of them", ["live"], 3) == ["live"]
