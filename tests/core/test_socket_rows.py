"""Rows that follow their lines on the pages' socket: to whom they are told, as what, and when they are left out."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from autotrader.core.audit.models import AuditHead
from autotrader.core.live.lines import Line
from autotrader.core.live.rows import WAITING, RowList
from autotrader.core.users.models import User
from tests.core.test_live_stream import own_session as own_session
from tests.live import elsewhere, until, write
from tests.sockets import Shown, login, opened, serving
from tests.support import PATIENCE_S

Asked = list[tuple[tuple[str, ...], frozenset[str]]]


class Maker:
    """Lines that name the rows in the event's document, and rows that say how they were asked for."""

    def __init__(self) -> None:
        self.asked: Asked = []
        self.fails = False
        self.failed = 0
        self.let_go = threading.Event()
        self.let_go.set()

    def __call__(self, document: Mapping[str, Any]) -> Line:
        return Shown(document["correlation_id"], '<li>,"rows":[</li>', rows=self.rows_of(document))

    def rows_of(self, document: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(document["document"].get("rows", []))

    @property
    def lists(self) -> Mapping[str, RowList]:
        shows = frozenset({"trading.view_decision"})
        return {
            "orders": RowList("trading.view_order", self._made, shows),
            "trades": RowList("trading.view_trade", self._made, shows),
        }

    def _made(self, keys: Sequence[str], held: Collection[str]) -> dict[str, str]:
        if self.fails:
            self.failed += 1
            raise ValueError("a row that is odd")
        assert self.let_go.wait(PATIENCE_S)
        AuditHead.objects.get()  # the thread has a connection
        self.asked.append((tuple(keys), frozenset(held)))
        return {key: f"<tr data-row='{key}'></tr>" for key in keys if key != "gone"}


def headers_of(*permissions: str) -> dict[str, str]:
    user = User.objects.create_user(f"user{User.objects.count()}", password="x")
    for name in ("audit.view_event", *permissions):
        app, _, codename = name.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return login(user)


@pytest.fixture
def maker() -> Maker:
    return Maker()


def event(*rows: str) -> Any:
    return elsewhere(partial(write, 1, document={"rows": list(rows)}))


async def test_rows_follow_the_lines_that_name_them(transactional_db: None, maker: Maker) -> None:
    headers = await elsewhere(partial(headers_of, "trading.view_order", "trading.view_decision"))
    async with serving(render=maker) as app, opened(app, headers, "rows=orders,trades,odd") as page:
        await page.named("start")
        await event("orders:A", "orders:gone", "trades:7", "orders:A")
        assert await page.seqs(1)
        frame = await page.next()
        assert frame == {"of": "orders", "rows": {"A": "<tr data-row='A'></tr>", "gone": ""}}
        assert maker.asked == [(("A", "gone"), frozenset({"trading.view_decision"}))]


@pytest.mark.parametrize("query", ["", "rows=", "rows=orders", "rows=odd"])
async def test_who_asks_for_none_or_may_not_see_them_is_told_lines_alone(
    transactional_db: None, maker: Maker, query: str
) -> None:
    headers = await elsewhere(partial(headers_of, "trading.view_trade"))
    async with serving(render=maker) as app, opened(app, headers, query) as page:
        await page.named("start")
        for _ in range(3):
            await event("orders:A")
        assert len(await page.seqs(3)) == 3
        assert page.frames.empty()
        assert maker.asked == []


async def test_they_are_made_once_for_all_who_may_see_the_same(transactional_db: None, maker: Maker) -> None:
    one, two = [await elsewhere(partial(headers_of, "trading.view_order")) for _ in range(2)]
    async with serving(render=maker) as app, opened(app, one, "rows=orders") as a, opened(app, two, "rows=orders") as b:
        for page in (a, b):
            await page.named("start")
        await event("orders:A")
        assert await a.named("rows") == await b.named("rows") == {"A": "<tr data-row='A'></tr>"}
        assert maker.asked == [(("A",), frozenset())]


async def test_a_burst_and_rows_that_cannot_be_made_are_left_out(transactional_db: None, maker: Maker) -> None:
    headers = await elsewhere(partial(headers_of, "trading.view_order"))
    async with serving(render=maker) as app, opened(app, headers, "rows=orders") as page:
        await page.named("start")
        await event(*(f"orders:{number}" for number in range(21)))
        await page.seqs(1)
        maker.fails = True
        await event("orders:A")
        await page.seqs(1)
        await until(lambda: maker.failed == 1)
        maker.fails = False
        await event("orders:B")
        assert list(await page.named("rows")) == ["B"]
        assert maker.asked == [(("B",), frozenset())]


async def test_rows_that_take_long_keep_no_line_waiting_and_few_are_made_at_a_time(
    transactional_db: None, maker: Maker
) -> None:
    headers = await elsewhere(partial(headers_of, "trading.view_order"))
    maker.let_go.clear()
    async with serving(render=maker) as app, opened(app, headers, "rows=orders") as page:
        await page.named("start")
        try:
            for number in range(1, WAITING + 6):
                await event(f"orders:{number}")
                assert len(await page.seqs(1)) == 1
            assert app._hall.tailer.state().problem == ""
        finally:
            maker.let_go.set()
        await event("orders:last")
        told = [next(iter(await page.named("rows"))) for _ in range(WAITING)]
        assert told == [str(number) for number in range(1, WAITING + 1)]
        assert len(maker.asked) <= WAITING + 1


async def test_a_page_that_catches_up_is_told_lines_alone_until_it_has(transactional_db: None, maker: Maker) -> None:
    headers = await elsewhere(partial(headers_of, "trading.view_order"))
    await event("orders:A")
    await event("orders:B")
    async with serving(render=maker) as app, opened(app, headers, "rows=orders&after_id=0") as page:
        await page.named("start")
        assert len(await page.seqs(2)) == 2
        await event("orders:C")
        assert list(await page.named("rows")) == ["C"]
        assert maker.asked == [(("C",), frozenset())]


async def test_a_page_that_acknowledges_nothing_is_owed_no_more_rows(transactional_db: None, maker: Maker) -> None:
    headers = await elsewhere(partial(headers_of, "trading.view_order"))
    async with serving(render=maker, owed=3000) as app, opened(app, headers, "rows=orders", acks=False) as page:
        await page.named("start")
        told = 0
        for number in range(10):
            await event(f"orders:{number}")
            while not (frame := await page.next()) or "lines" not in frame:
                told += 1
            await until(lambda: len(maker.asked) == number + 1)  # noqa: B023 - asked within this round
        (socket,) = app._hall.guests
        assert 1500 <= socket._owed_bytes < 3000  # type: ignore[attr-defined]
        assert 0 < told < 8
        page.say(json.dumps({"ack": 10**9}))
        await until(lambda: socket._owed_bytes < 1500)  # type: ignore[attr-defined]
        await event("orders:A")
        while list(await page.named("rows")) != ["A"]:  # the last one asked for may have been made after the answer
            pass
