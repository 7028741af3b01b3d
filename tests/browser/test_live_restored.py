"""A page that comes back to a log which was put back meanwhile begins anew, though its place is still there."""

from __future__ import annotations

import pytest

from tests.browser.test_live_client import LIST, Shown, line, panel
from tests.browser.test_live_client import shown as shown
from tests.support import eventually

pytestmark = pytest.mark.browser


def test_the_same_place_of_another_log_is_read_anew(shown: Shown) -> None:
    shown.open(LIST.format(lines="") + panel("orders", "orders"), after=50)
    shown.desk.tell(to=51, hash="b" * 64, lines=[line(51, text="undone by the restore")])
    eventually(lambda: len(shown.texts()) == 1)
    shown.desk.body = shown.desk.body.replace('data-after="50"', 'data-after="60"').replace(
        "</ol>", '<li data-seq="60">60</li></ol>'
    )
    shown.desk.head, shown.desk.hashes = 60, {51: "c" * 64, 60: "d" * 64}
    shown.desk.hang_up()
    eventually(lambda: shown.desk.begun == [50, 51, 60])
    shown.state("live")
    shown.desk.tell(to=61, hash="e" * 64, lines=[line(61)])
    eventually(lambda: shown.texts() == ["61", "60"])
    eventually(lambda: shown.desk.counts["orders"] >= 1)


def test_the_same_log_goes_on(shown: Shown) -> None:
    shown.open(LIST.format(lines=""), after=50)
    shown.desk.tell(to=51, hash="b" * 64, lines=[line(51)])
    eventually(lambda: len(shown.texts()) == 1)
    shown.desk.hashes = {51: "b" * 64}
    sockets = len(shown.desk.places)
    shown.desk.hang_up()
    eventually(lambda: len(shown.desk.places) > sockets)
    shown.state("live")
    shown.desk.tell(to=52, hash="c" * 64, lines=[line(52)])
    eventually(lambda: shown.texts() == ["52", "51"])
    assert shown.desk.begun == [50, 51]
