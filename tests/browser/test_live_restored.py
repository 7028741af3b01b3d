"""A page that comes back to a log which was put back meanwhile begins anew, though its place is still there."""

from __future__ import annotations

import pytest

from tests.browser.test_live_client import LIST, Shown, line, panel
from tests.browser.test_live_client import shown as shown
from tests.support import eventually

pytestmark = pytest.mark.browser


def greet(shown: Shown, times: int, digest: str) -> None:
    """Wait for the socket, and say where it begins and which event that is."""
    eventually(lambda: len(shown.desk.places) >= times, 9)
    shown.desk.tell(start={"after": shown.desk.places[-1], "head": 60, "hash": digest})


def test_the_same_place_of_another_log_is_read_anew(shown: Shown) -> None:
    shown.open(LIST.format(lines="") + panel("orders", "orders"), after=50)
    shown.desk.tell(to=51, hash="b" * 64, lines=[line(51, text="undone by the restore")])
    eventually(lambda: len(shown.texts()) == 1)
    shown.desk.body = shown.desk.body.replace('data-after="50"', 'data-after="60"').replace(
        "</ol>", '<li data-seq="60">60</li></ol>'
    )
    shown.desk.hang_up()
    greet(shown, 2, "c" * 64)
    greet(shown, 3, "d" * 64)
    assert shown.desk.places == [50, 51, 60]
    shown.state("live")
    shown.desk.tell(to=61, hash="e" * 64, lines=[line(61)])
    eventually(lambda: shown.texts() == ["61", "60"])
    assert shown.desk.counts["orders"] >= 1


def test_the_same_log_goes_on(shown: Shown) -> None:
    shown.open(LIST.format(lines=""), after=50)
    shown.desk.tell(to=51, hash="b" * 64, lines=[line(51)])
    eventually(lambda: len(shown.texts()) == 1)
    shown.desk.hang_up()
    greet(shown, 2, "b" * 64)
    shown.state("live")
    shown.desk.tell(to=52, hash="c" * 64, lines=[line(52)])
    eventually(lambda: shown.texts() == ["52", "51"])
    assert shown.desk.places == [50, 51]
