"""live.js in a real Chromium against a socket that the test holds: lines, pokes, polling, and coming back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from autotrader.core.users.models import User
from tests.browser.loopback import Desk, desk
from tests.support import PATIENCE_S, eventually

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><html><head><meta charset="utf-8">
<meta name="htmx-config" content='{{"allowEval": false, "includeIndicatorStyles": false}}'>
<script src="/theme.js"></script><script src="/htmx.js" defer></script><script src="/live.js" defer></script></head>
<body data-now="{now}" {feed}><span id="feed" hidden></span><div class="web-bar"></div>{content}</body></html>"""
LIST = '<ol id="all" data-lines>{lines}</ol>'


def panel(name: str, words: str, more: str = "", inner: str = "<p>as served</p>", query: str = "") -> str:
    return (
        f'<section id="{name}" data-panel="{words}" {more} hx-get="/panel/{name}{query}" hx-trigger="poke" '
        f'hx-swap="innerHTML">{inner}</section>'
    )


def line(seq: int, *pokes: str, cause: str = "c", text: str = "") -> dict[str, Any]:
    return {"seq": seq, "cause": cause, "pokes": list(pokes), "html": f'<li data-seq="{seq}">{text or seq}</li>'}


@dataclass
class Shown:
    """The page in the browser, and the server behind it."""

    page: Any
    desk: Desk

    def open(self, content: str, *, after: int | None = 10) -> None:
        """Show the content with a feed from `after`, or without one."""
        feed = "" if after is None else f'data-after="{after}" data-feed="/live/"'
        self.desk.body = PAGE.format(now=datetime.now(UTC).isoformat(), feed=feed, content=content)
        self.page.goto(self.desk.url, wait_until="load")
        if after is not None:
            self.state("live")

    def state(self, word: str) -> None:
        """Wait until the badge says it."""
        self.page.locator("#feed", has_text=word).wait_for(state="visible", timeout=1000 * PATIENCE_S)

    def rests(self) -> None:
        """Wait until the page has done what it was told so far: what is due comes in the order of its time."""
        self.page.evaluate("new Promise(done => setTimeout(() => requestIdleCallback(() => done()), 1500))")

    def texts(self, selector: str = "#all > li") -> list[str]:
        return [str(text) for text in self.page.locator(selector).all_inner_texts()]

    def hide(self, *, hidden: bool) -> None:
        """As if the person looked at another tab, or came back."""
        self.page.evaluate(
            "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
            " document.dispatchEvent(new Event('visibilitychange')); }",
            hidden,
        )


@pytest.fixture
def shown(page: Any) -> Iterator[Shown]:
    with desk() as server:
        yield Shown(page, server)


def test_a_word_pokes_its_panels_soon_and_twice_a_second_at_most(shown: Shown) -> None:
    shown.open(panel("orders", "orders trades") + panel("cycles", "cycles"))
    began = time.monotonic()
    for seq in range(11, 14):
        shown.desk.lines(line(seq, "orders"))
        eventually(lambda: shown.desk.counts["orders"] == seq - 10)  # noqa: B023 - asked within this round
    third = time.monotonic()
    shown.desk.lines(*(line(seq, "orders") for seq in range(14, 41)))
    eventually(lambda: "orders 4" in shown.page.inner_text("#orders"))
    assert time.monotonic() - third > 0.1
    shown.rests()
    assert shown.desk.counts == {"orders": 4}, "what comes together renews it once"
    for seq in range(41, 81):
        shown.desk.lines(line(seq, "orders"))
        shown.page.evaluate("new Promise(done => setTimeout(done, 20))")
    eventually(lambda: shown.desk.counts["orders"] > 4)
    assert shown.desk.counts["orders"] <= 3 + 2 * (time.monotonic() - began)


def test_a_panel_about_one_thing_hears_only_of_it(shown: Shown) -> None:
    about = 'data-about="cycle-1"'
    shown.open(panel("one", "orders", about) + panel("other", "orders", 'data-about="cycle-2"'))
    shown.desk.lines(line(11, "orders", cause="cycle-1.7"), line(12, "orders", cause="cycle-11"))
    eventually(lambda: shown.desk.counts["one"] == 1)
    shown.desk.lines(line(13, "orders", cause="cycle-2"))
    eventually(lambda: shown.desk.counts["other"] == 1)
    assert shown.desk.counts["one"] == 1


def test_lines_come_on_top_once_and_only_a_hundred_stay(shown: Shown) -> None:
    shown.open(
        LIST.format(lines='<li class="desk-empty">Nothing yet</li>') + '<ol id="mine" data-lines data-about="a"></ol>'
    )
    shown.desk.lines(line(11), line(12))
    shown.desk.lines(line(12, text="again"), line(13, cause="a.2"))
    eventually(lambda: shown.texts() == ["13", "12", "11"])
    assert shown.texts("#mine > li") == ["13"]
    shown.desk.lines(*(line(seq) for seq in range(14, 134)))
    eventually(lambda: shown.texts()[:1] == ["133"])
    assert len(shown.texts()) == 100
    assert shown.texts()[-1] == "34"


def test_a_broken_stream_goes_on_from_the_last_line(shown: Shown) -> None:
    shown.open(LIST.format(lines="") + panel("orders", "orders"))
    shown.desk.lines(line(11), line(12))
    shown.desk.tell(to=15, lines=[])
    eventually(lambda: len(shown.texts()) == 2)
    shown.desk.greets = False
    shown.desk.hang_up()
    shown.state("stream error")
    shown.desk.greet()
    shown.state("live")
    assert shown.desk.begun == [10, 15]
    shown.desk.lines(line(15), line(16))
    eventually(lambda: shown.texts() == ["16", "12", "11"])


def test_panels_are_polled_while_the_socket_is_refused(shown: Shown) -> None:
    shown.open(panel("orders", "orders"))
    shown.desk.refuses = True
    shown.desk.hang_up()
    shown.state("stream error: polling")
    eventually(lambda: shown.desk.counts["orders"] >= 1)
    shown.desk.refuses = False
    shown.state("live")


def test_without_a_feed_the_panels_are_polled(shown: Shown) -> None:
    shown.open(panel("orders", "orders") + panel("account", "account", 'data-every="1"'), after=None)
    shown.state("polling")
    eventually(lambda: shown.desk.counts["orders"] >= 1)
    eventually(lambda: shown.desk.counts["account"] > shown.desk.counts["orders"])
    assert shown.desk.places == []


def test_a_panel_whose_inside_is_urgent_is_asked_sooner(shown: Shown) -> None:
    shown.open(panel("banner", "halt", 'data-every="60"', inner='<p data-every="1">halted</p>'))
    eventually(lambda: "banner" in shown.page.inner_text("#banner"))
    shown.rests()
    known = shown.page.inner_text("#banner")
    shown.desk.lines(line(11, "halt"))
    eventually(lambda: shown.page.inner_text("#banner") not in (known, ""))


def test_an_answer_that_says_the_same_leaves_the_panel_alone(shown: Shown) -> None:
    shown.desk.steady = {"banner"}
    shown.open(panel("banner", "halt"))
    shown.desk.lines(line(11, "halt"))
    shown.page.locator("#banner", has_text="banner").wait_for()
    shown.page.evaluate(
        "window.told = []; new MutationObserver(() => told.push(document.querySelector('#banner').innerText))"
        ".observe(document.querySelector('#banner'), { childList: true })"
    )
    shown.desk.lines(line(12, "halt"))
    eventually(lambda: shown.desk.counts["banner"] == 2)
    shown.desk.lines(line(13, "halt"))
    eventually(lambda: shown.desk.counts["banner"] == 3)
    shown.desk.steady = set()
    shown.desk.lines(line(14, "halt"))
    shown.page.locator("#banner", has_text="banner 4").wait_for()
    assert set(shown.page.evaluate("told")) == {"banner 4"}


def rows(*told: tuple[int, str]) -> str:
    return "".join(f'<tr data-row="R{place}" data-place="{place}"><td>{text}</td></tr>' for place, text in told)


def table(*told: tuple[int, str]) -> str:
    return f"<table><tbody>{rows(*told)}</tbody></table>"


def orders(inner: str, *, about: str = "", narrowed: bool = True, name: str = "orders") -> str:
    """A list of orders; the rows of one that is narrowed are asked for, of all orders they are sent."""
    more = f'data-rows="orders" {about}'
    return panel(name, "orders", more, inner, "?side=BUY" if narrowed else "")


def filled(seq: int, *places: int, **more: Any) -> dict[str, Any]:
    return line(seq, "orders", **more) | {"rows": [f"orders:R{place}" for place in places]}


SHOWN_ROWS = "#orders tr"


@pytest.mark.parametrize("narrowed", [True, False])
def test_a_row_that_a_fill_changed_comes_by_itself_before_its_panel(shown: Shown, narrowed: bool) -> None:
    shown.desk.holds["orders"] = threading.Event()
    shown.desk.inner["orders"] = table((4, "new"), (3, "filled"), (1, "first"))
    shown.open(orders(table((3, "sent"), (2, "sent"), (1, "first")), narrowed=narrowed))
    shown.page.evaluate("window.kept = document.querySelector('#orders tr:last-child')")
    shown.desk.rows = {"R3": rows((3, "filled")), "R4": rows((4, "new"))}
    shown.desk.lines(filled(11, 3, 4), filled(12, 2, 3))
    if not narrowed:
        shown.desk.tell(of="trades", rows={"R1": ""})
        shown.desk.tell(of="orders", rows={**shown.desk.rows, "R2": ""})
    eventually(lambda: shown.texts(SHOWN_ROWS) == ["new", "filled", "first"])
    assert shown.page.evaluate("kept.isConnected"), "the others are left alone"
    assert shown.desk.alone == ([["R3", "R4", "R2"]] if narrowed else [])
    assert set(shown.desk.lists) == {"" if narrowed else "orders"}
    shown.desk.holds["orders"].set()
    eventually(lambda: not shown.page.evaluate("kept.isConnected"))
    assert shown.texts(SHOWN_ROWS) == ["new", "filled", "first"]


def test_a_list_that_begins_is_asked_for_at_once(shown: Shown) -> None:
    """By the row's own frame: no line says here that the panel shows something else now."""
    shown.desk.inner["orders"] = table((1, "first"))
    shown.open(orders("<p>No orders yet.</p>", narrowed=False))
    shown.desk.tell(of="orders", rows={"R2": ""})
    shown.rests()
    assert shown.desk.counts["orders"] == 0, "none that is gone"
    shown.desk.tell(of="orders", rows={"R1": rows((1, "first"))})
    eventually(lambda: shown.texts(SHOWN_ROWS) == ["first"])
    assert shown.desk.counts["orders"] == 1


def test_a_renewal_that_was_asked_before_a_row_does_not_take_it_back(shown: Shown) -> None:
    held = shown.desk.holds["orders"] = threading.Event()
    shown.desk.inner["orders"] = table((2, "sent"), (1, "as it was"))
    shown.open(orders(table((2, "drafted"), (1, "first"))))
    shown.page.evaluate(
        "window.seen = []; new MutationObserver(() => seen.push(document.querySelector('#orders').innerText))"
        ".observe(document.querySelector('#orders'), { childList: true, subtree: true })"
    )
    shown.desk.lines(line(11, "orders"))
    eventually(lambda: shown.desk.counts["orders"] == 1)
    shown.desk.inner["orders"] = table((2, "filled"), (1, "as it is"))
    shown.desk.rows = {"R2": rows((2, "filled"))}
    shown.desk.lines(filled(12, 2))
    eventually(lambda: shown.texts(SHOWN_ROWS) == ["filled", "first"])
    held.set()
    eventually(lambda: shown.texts(SHOWN_ROWS) == ["filled", "as it is"])
    assert shown.desk.counts["orders"] == 2
    assert not any("sent" in text for text in shown.page.evaluate("seen"))


def test_rows_of_another_list_or_story_and_of_a_burst_are_left_to_the_panel(shown: Shown) -> None:
    shown.open(
        orders(table((1, "first")))
        + orders(table((1, "first")), about='data-about="cycle-1"', name="one")
        + panel("trades", "trades", 'data-rows="trades"', table(), "?side=long")
    )
    shown.desk.rows = {"R1": rows((1, "filled"))}
    shown.desk.inner["orders"] = table((1, "renewed"))
    shown.desk.lines(*(filled(seq, seq, cause="cycle-2") for seq in range(11, 41)))
    eventually(lambda: shown.texts(SHOWN_ROWS) == ["renewed"])
    assert shown.desk.alone == []
    shown.desk.holds["orders"] = threading.Event()
    shown.desk.lines(filled(41, 1, cause="cycle-2"))
    eventually(lambda: shown.texts(SHOWN_ROWS) == ["filled"])
    assert shown.desk.alone == [["R1"]]
    shown.desk.holds["orders"].set()


@pytest.mark.parametrize("is_foreign", [True, False], ids=["a proxy's", "a page of ours"])
def test_an_answer_that_is_no_rows_takes_none_away(shown: Shown, is_foreign: bool) -> None:
    shown.open(orders(table((2, "sent"), (1, "first"))))
    shown.desk.holds["orders"] = threading.Event()
    shown.desk.is_foreign = is_foreign
    shown.desk.rows = {"R2": "" if is_foreign else "<p>Log in</p>" + rows((2, "filled"))}
    shown.desk.lines(filled(11, 2))
    eventually(lambda: shown.desk.alone == [["R2"]])
    shown.desk.is_foreign, shown.desk.rows = False, {"R1": rows((1, "filled"))}
    shown.desk.lines(filled(12, 1))
    eventually(lambda: "filled" in shown.texts(SHOWN_ROWS))
    assert shown.texts(SHOWN_ROWS) == ["sent", "filled"]
    shown.desk.holds["orders"].set()


def test_while_somebody_writes_or_looks_elsewhere_no_row_is_asked_for(shown: Shown) -> None:
    writing = "<input id='why'>" + table((1, "first"))
    shown.open(orders(writing) + LIST.format(lines=""))
    shown.desk.rows = {"R1": rows((1, "filled"))}
    shown.page.focus("#why")
    shown.desk.lines(filled(11, 1))
    eventually(lambda: len(shown.texts()) == 1)
    shown.page.evaluate("document.activeElement.blur()")
    eventually(lambda: shown.desk.counts["orders"] == 1)
    shown.hide(hidden=True)
    shown.desk.lines(filled(12, 1))
    eventually(lambda: len(shown.texts()) == 2)
    assert shown.desk.alone == []


def test_a_row_that_is_sent_to_a_hidden_page_waits_for_the_renewal(shown: Shown) -> None:
    shown.open(orders(table((1, "first")), narrowed=False) + LIST.format(lines=""))
    shown.hide(hidden=True)
    shown.desk.tell(of="orders", rows={"R1": rows((1, "filled"))})
    shown.desk.lines(filled(11, 1))
    eventually(lambda: len(shown.texts()) == 1)
    assert shown.texts(SHOWN_ROWS) == ["first"]
    shown.hide(hidden=False)
    eventually(lambda: shown.desk.counts["orders"] == 1)


def test_the_keyboard_stays_in_a_row_that_is_replaced(shown: Shown) -> None:
    link = '<a href="/orders/R1/">R1</a>'
    shown.desk.holds["orders"] = threading.Event()
    shown.open(orders(table((1, f"sent {link}"))))
    shown.page.focus("#orders a")
    shown.desk.rows = {"R1": rows((1, f"filled {link}"))}
    shown.desk.lines(filled(11, 1))
    eventually(lambda: shown.texts(SHOWN_ROWS) == ["filled R1"])
    assert shown.page.evaluate("document.activeElement.getAttribute('href')") == "/orders/R1/"
    shown.desk.holds["orders"].set()


def test_lines_are_acknowledged(shown: Shown) -> None:
    shown.open(LIST.format(lines=""))
    shown.desk.lines(*(line(seq) for seq in range(11, 81)))
    eventually(lambda: shown.desk.acked == [80])
    shown.desk.tell(to=90, lines=[])
    eventually(lambda: shown.desk.acked == [80, 90])


def test_after_a_resync_lists_and_panels_are_read_anew(shown: Shown) -> None:
    shown.open(LIST.format(lines="") + panel("orders", "orders"), after=50)
    shown.desk.lines(line(51, text="undone by the restore"))
    eventually(lambda: len(shown.texts()) == 1)
    restored = shown.desk.body.replace('data-after="50"', 'data-after="30"')
    shown.desk.body = restored.replace("</ol>", '<li data-seq="30">30</li></ol>')
    shown.desk.tell(resync={"after": 30, "reason": "restored"})
    shown.desk.hang_up(4408)
    eventually(lambda: shown.desk.begun == [50, 30])
    shown.state("live")
    shown.desk.lines(line(31))
    eventually(lambda: shown.texts() == ["31", "30"])
    eventually(lambda: shown.desk.counts["orders"] >= 1)


def test_the_badge_tells_of_the_database_and_of_the_login(shown: Shown) -> None:
    shown.open(panel("orders", "orders"))
    shown.desk.tell(away=True)
    shown.state("database away")
    shown.desk.tell(away=False)
    shown.state("live")
    shown.desk.turns_away = 4401
    shown.desk.hang_up(4401)  # rights that changed end a feed too, and it may come back
    shown.state("login ended")
    assert len(shown.desk.places) >= 2
    assert "Your login ended" in shown.page.inner_text("[role=alert]")


def test_a_hidden_page_is_poked_once_when_seen_again(shown: Shown) -> None:
    shown.open(panel("orders", "orders") + LIST.format(lines=""))
    shown.hide(hidden=True)
    shown.desk.lines(line(11, "orders"))
    shown.desk.lines(line(12, "orders"))
    eventually(lambda: len(shown.texts()) == 2)
    shown.rests()
    assert shown.desk.counts["orders"] == 0
    shown.hide(hidden=False)
    eventually(lambda: shown.desk.counts["orders"] == 1)
    shown.rests()
    assert shown.desk.counts["orders"] == 1


def test_a_panel_that_somebody_writes_in_waits(shown: Shown) -> None:
    shown.open(panel("orders", "orders", inner='<input id="why"><button>Go</button>') + LIST.format(lines=""))
    shown.page.focus("#why")
    shown.desk.lines(line(11, "orders"))
    eventually(lambda: len(shown.texts()) == 1)
    shown.page.keyboard.type("mine")
    assert shown.page.input_value("#why") == "mine"
    eventually(lambda: "while you write" in (shown.page.get_attribute("#orders", "data-stale") or ""))
    shown.page.fill("#why", "")
    shown.page.evaluate("document.activeElement.blur()")
    eventually(lambda: shown.page.inner_text("#orders") == "orders 1")
    assert shown.page.get_attribute("#orders", "data-stale") is None


def test_a_panel_that_fails_says_that_it_is_out_of_date(shown: Shown) -> None:
    shown.desk.failing.add("orders")
    shown.open(panel("orders", "orders"))
    shown.desk.lines(line(11, "orders"))
    eventually(lambda: "Out of date since" in (shown.page.get_attribute("#orders", "data-stale") or ""))
    assert shown.page.inner_text("#orders") == "as served"
    shown.desk.failing.clear()
    shown.desk.lines(line(12, "orders"))
    eventually(lambda: shown.page.get_attribute("#orders", "data-stale") is None)


def test_old_numbers_say_their_age_and_deadlines_count_down(shown: Shown) -> None:
    now = datetime.now(UTC)
    old, fresh, soon = (now + timedelta(seconds=by) for by in (-40, 20, 115))
    shown.open(
        f'<time id="old" data-age datetime="{old.isoformat()}">then</time>'
        f'<time id="fresh" data-age datetime="{fresh.isoformat()}">now</time>'
        f'<time id="soon" data-until datetime="{soon.isoformat()}">100 s</time>'
    )
    eventually(lambda: "s old" in shown.page.inner_text("#old"))
    assert "web-old" in shown.page.get_attribute("#old", "class")
    assert shown.page.inner_text("#fresh") == "now"
    assert shown.page.inner_text("#soon").startswith("1:")


@pytest.fixture
def framed(shown: Shown, db: None) -> Shown:
    """A page of the site in its own frame and style, on a phone, with no feed."""
    client = Client()
    client.force_login(User.objects.create_superuser("anna", password="x"))
    served = str(client.get(reverse("halt")).content.decode())
    shown.desk.body = served.replace('hx-get="/', 'hx-get="/panel/')
    shown.page.set_viewport_size({"width": 390, "height": 844})
    shown.page.goto(shown.desk.url, wait_until="load")
    return shown


def ground(shown: Shown) -> str:
    return str(shown.page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_light_or_dark_is_chosen_once_and_kept(framed: Shown) -> None:
    framed.page.emulate_media(color_scheme="light")
    light = ground(framed)
    framed.page.get_by_role("button", name="Light or dark").click()
    dark = ground(framed)
    assert light != dark
    framed.page.reload(wait_until="load")
    assert ground(framed) == dark
    framed.page.evaluate("localStorage.clear()")
    framed.page.reload(wait_until="load")
    assert ground(framed) == light
    framed.page.emulate_media(color_scheme="dark")
    eventually(lambda: ground(framed) == dark)


def test_on_a_phone_the_places_are_folded_and_the_kill_switch_is_at_hand(framed: Shown) -> None:
    page = framed.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".web-kill").is_visible()
    assert not page.locator("#places").is_visible()
    page.get_by_role("button", name="More").click()
    assert page.locator("#places").get_by_role("link", name="Approvals").is_visible()
    assert page.get_by_role("button", name="More").get_attribute("aria-expanded") == "true"


def test_the_keyboard_reaches_the_page_past_the_places(framed: Shown) -> None:
    framed.page.keyboard.press("Tab")
    framed.page.keyboard.press("Enter")
    eventually(lambda: framed.page.evaluate("document.activeElement.id") == "main")
