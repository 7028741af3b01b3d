"""A page that was made before its log was put back sees so as its socket opens, by the hash of the event it ends at."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.browser.test_live_client import LIST, PAGE, Shown, line, panel
from tests.browser.test_live_client import shown as shown
from tests.support import eventually

pytestmark = pytest.mark.browser


def made(shown: Shown, content: str, *, seal: str) -> None:
    """Show a page that was made up to event 50, whose hash is `seal`."""
    feed = f'data-after="50" data-seal="{seal}" data-feed="/live/"'
    shown.desk.body = PAGE.format(now=datetime.now(UTC).isoformat(), feed=feed, content=content)
    shown.page.goto(shown.desk.url, wait_until="load")


def test_a_page_of_a_log_that_was_put_back_is_read_anew(shown: Shown) -> None:
    undone = '<li data-seq="50">undone by the restore</li>'
    shown.desk.greets = False
    shown.desk.head, shown.desk.hashes = 60, {50: "b" * 64, 60: "c" * 64}
    made(shown, LIST.format(lines=undone) + panel("orders", "orders"), seal="a" * 64)
    restored = shown.desk.body.replace('data-after="50"', 'data-after="60"').replace("a" * 64, "c" * 64)
    shown.desk.body = restored.replace(undone, '<li data-seq="60">60</li>')
    shown.desk.greet()
    eventually(lambda: shown.desk.begun == [50, 60])
    shown.state("live")
    assert shown.texts() == ["60"]
    eventually(lambda: shown.desk.counts["orders"] >= 1)


def test_a_page_that_is_read_anew_has_the_hash_of_its_new_place(shown: Shown) -> None:
    shown.desk.greets = False
    shown.desk.head, shown.desk.hashes = 60, {50: "b" * 64, 60: "d" * 64, 70: "e" * 64}
    made(shown, LIST.format(lines=""), seal="a" * 64)
    once = shown.desk.body.replace('data-after="50"', 'data-after="60"').replace("a" * 64, "c" * 64)
    twice = once.replace('data-after="60"', 'data-after="70"').replace("c" * 64, "e" * 64)
    bodies = {50: once, 60: twice}

    def begins_anew_from(place: int) -> None:
        eventually(lambda: shown.desk.places[-1:] == [place])
        shown.desk.body = bodies[place]
        shown.desk.greet()
        shown.desk.greets = False

    begins_anew_from(50)
    begins_anew_from(60)
    eventually(lambda: shown.desk.places[-1:] == [70])
    shown.desk.greet()
    shown.state("live")
    assert shown.desk.begun == [50, 60, 70]


def test_a_page_of_the_same_log_goes_on_at_once(shown: Shown) -> None:
    shown.desk.hashes = {50: "a" * 64}
    made(shown, LIST.format(lines=""), seal="a" * 64)
    shown.state("live")
    shown.desk.lines(line(51))
    eventually(lambda: shown.texts() == ["51"])
    assert shown.desk.begun == [50]
