"""The pages' socket: every event once and in order as a line, or the word to begin anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from autotrader.core.audit.models import AuditHead, Event
from autotrader.core.live.buffers import held_by
from autotrader.core.live.frames import Frame
from autotrader.core.live.lines import Lines
from autotrader.core.users.models import User
from tests import database
from tests.core.test_live_stream import _open, _put_back_and_write, _shut, _write_slowly, _write_with_a_gap
from tests.core.test_live_stream import own_session as own_session
from tests.live import elsewhere, until, write
from tests.sockets import EVERY_POKE, Page, Shown, login, opened, serving, shown

Headers = dict[str, str]


@pytest.fixture
def boss(transactional_db: None) -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def headers(boss: User) -> Headers:
    return login(boss)


def head() -> int:
    return AuditHead.objects.get().seq


def digest_of(seq: int) -> str:
    return Event.objects.get(seq=seq).hash


async def test_it_begins_now_and_tells_lines(headers: Headers) -> None:
    await elsewhere(write, 3)
    async with serving() as app, opened(app, headers) as page:
        now = await elsewhere(head)
        assert await page.named("start") == {"after": now, "head": now, "hash": await elsewhere(digest_of, now)}
        await elsewhere(partial(write, 1, account="DU1", document={"price": "<1>"}))
        (line,) = await page.lines(1)
        event = await elsewhere(lambda: Event.objects.get(seq=now + 1))
        assert line == {
            "seq": now + 1,
            "cause": event.correlation_id,
            "html": f'<li>{now + 1} {{"price": "<1>"}}</li>',
            "pokes": ["orders"],
        }


@pytest.mark.parametrize("rows", [(), ("orders:A-E",)])
def test_a_line_names_its_rows_where_it_has_some(rows: tuple[str, ...]) -> None:
    frame = Frame(7, "DU1", "h", b'id: 7\ndata: {"correlation_id":"c"}\n\n')
    line = json.loads(Lines(lambda document: Shown("c", "<li></li>", rows=rows), 1000).text(frame))
    assert line == {"seq": 7, "cause": "c", "html": "<li></li>", "pokes": ["orders"]} | (
        {"rows": list(rows)} if rows else {}
    )


async def test_it_goes_on_after_the_place_that_is_named(headers: Headers) -> None:
    await elsewhere(write, 100)
    now = await elsewhere(head)
    async with serving() as app, opened(app, headers, f"after_id={now - 90}") as page:
        start = await page.named("start")
        assert start == {"after": now - 90, "head": now, "hash": await elsewhere(digest_of, now - 90)}
        assert await page.seqs(90) == list(range(now - 89, now + 1))


async def test_a_frame_is_bounded_by_its_bytes(headers: Headers) -> None:
    now = await elsewhere(head)
    async with serving(chunk=2000) as app, opened(app, headers, f"after_id={now}") as page:
        await elsewhere(partial(write, 40, document={"text": "x" * 500}))
        sizes = []
        while (frame := await page.next()) is not None and frame.get("to") != now + 40:
            sizes.append(len(json.dumps(frame)))
        assert max(sizes) <= 2200


async def test_a_page_that_lies_far_behind_begins_anew_at_once(headers: Headers) -> None:
    await elsewhere(write, 300)
    now = await elsewhere(head)
    async with serving() as app:
        async with opened(app, headers, f"after_id={now - 257}") as page:
            assert await page.to_the_end() == [{"resync": {"after": now, "reason": "slow"}}]
            assert page.code == 4408
        async with opened(app, headers, f"after_id={now - 256}") as page:
            assert len(await page.lines(256)) == 256


async def test_a_burst_is_told_or_the_page_begins_anew_and_misses_nothing_after(headers: Headers) -> None:
    async with serving() as app:
        async with opened(app, headers) as page:
            start = (await page.named("start"))["after"]
            for _ in range(10):
                await elsewhere(write, 1000)
            seen, resync = [start], None
            while resync is None and seen[-1] < start + 10_000:
                frame = await page.next()
                assert frame is not None
                seen += [line["seq"] for line in frame.get("lines", [])]
                resync = frame.get("resync")
            assert seen == list(range(start, seen[-1] + 1))
            place = resync["after"] if resync else seen[-1]
        async with opened(app, headers, f"after_id={await elsewhere(head)}") as page:
            await elsewhere(write, 1)
            assert await page.seqs(1) == [start + 10_001]
    assert place > start


async def test_a_burst_that_a_page_can_take_is_told_whole(headers: Headers) -> None:
    async with serving() as app, opened(app, headers) as page:
        start = (await page.named("start"))["after"]
        await elsewhere(write, 400)
        assert await page.seqs(400) == list(range(start + 1, start + 401))


async def test_a_page_that_acknowledges_nothing_is_sent_so_much_and_begins_anew(headers: Headers) -> None:
    async with serving() as app, opened(app, headers, acks=False) as page:
        start = (await page.named("start"))["after"]
        await elsewhere(write, 256)
        assert await page.seqs(256) == list(range(start + 1, start + 257))
        await elsewhere(write, 10)
        (socket,) = app._hall.guests
        await until(lambda: app._hall.tailer.seq == start + 266 and not socket._bell.is_set())
        assert page.frames.empty(), "no more than 256 are on their way"
        page.say(json.dumps({"ack": start + 64}))
        assert len(await page.seqs(10)) == 10
        for _ in range(3):
            await elsewhere(write, 200)
        (*_, last) = await page.to_the_end()
        assert (last["resync"]["reason"], page.code) == ("slow", 4408)
        assert last["resync"]["after"] > start + 266


async def test_a_page_that_acknowledges_nothing_for_long_begins_anew(headers: Headers) -> None:
    async with serving(owed_s=0.3, keep_alive_s=0.4) as app, opened(app, headers, acks=False) as page:
        start = (await page.named("start"))["after"]
        await elsewhere(write, 1)
        assert await page.seqs(1) == [start + 1]
        assert (await page.named("resync")) == {"after": start + 1, "reason": "slow"}
        await page.to_the_end()
        assert page.code == 4408


async def test_a_page_in_the_background_is_asked_for_its_acknowledgement(headers: Headers) -> None:
    async with serving() as app, opened(app, headers, acks=False) as page:
        start = (await page.named("start"))["after"]
        await elsewhere(write, 1)
        assert await page.seqs(1) == [start + 1]
        (socket,) = app._hall.guests
        socket.tick(asyncio.get_running_loop().time() + app._hall.rules.owed_s * 0.6)
        assert await page.next() == {"to": start + 1, "lines": []}
        page.say(json.dumps({"ack": start + 1}))
        await until(lambda: not socket._owed)
        assert socket.code == 0


async def test_the_bytes_that_wait_for_an_acknowledgement_are_bounded(headers: Headers) -> None:
    async with serving(owed=20_000, chunk=4000) as app, opened(app, headers, acks=False) as page:
        start = (await page.named("start"))["after"]
        await elsewhere(partial(write, 100, document={"text": "x" * 1000}))
        (socket,) = app._hall.guests
        await until(lambda: app._hall.tailer.seq == start + 100 and not socket._has_room())
        stood = socket._at
        socket.news()
        await until(lambda: not socket._bell.is_set())
        assert (socket._at, 20_000 <= socket._owed_bytes <= 24_000) == (stood, True)
        page.say(json.dumps({"ack": stood}))
        await until(lambda: socket._at > stood)


async def test_a_frame_that_is_not_taken_in_time_is_the_last(headers: Headers) -> None:
    async with serving(owed_s=0.2) as app, opened(app, headers) as page:
        start = (await page.named("start"))["after"]
        page.stop_taking()
        await elsewhere(write, 1)
        (socket,) = app._hall.guests
        await until(lambda: socket.code)
        page.take()
        assert (await page.named("resync")) == {"after": start + 1, "reason": "slow"}
        await page.to_the_end()
        assert page.code == 4408


async def test_a_quiet_socket_shows_that_it_lives(headers: Headers) -> None:
    async with serving(keep_alive_s=0.1) as app, opened(app, headers) as page:
        await page.named("start")
        assert await page.next() == {}


async def test_a_place_beyond_the_end_is_put_right(headers: Headers) -> None:
    now = await elsewhere(head)
    async with serving() as app, opened(app, headers, f"after_id={now + 50}") as page:
        assert await page.to_the_end() == [{"resync": {"after": now, "reason": "restored"}}]
        assert page.code == 4408


@pytest.mark.parametrize("since", [0, 4, 9])
async def test_an_older_copy_of_the_database_is_noticed(headers: Headers, since: int) -> None:
    await elsewhere(write, 3)
    older = await elsewhere(database.copied)
    await elsewhere(write, 4)
    async with serving() as app, opened(app, headers) as page:
        await page.named("start")
        await elsewhere(_put_back_and_write, older, since)
        now = await elsewhere(head)
        assert await page.named("resync") == {"after": now, "reason": "restored"}


async def test_a_page_can_tell_that_the_log_was_put_back_while_it_was_away(headers: Headers) -> None:
    """The log has grown beyond the page's place meanwhile, so that its number is there and means another event."""
    await elsewhere(write, 3)
    older = await elsewhere(database.copied)
    async with serving() as app:
        async with opened(app, headers) as page:
            await page.named("start")
            await elsewhere(write, 4)
            frame: dict[str, Any] = {}
            while frame.get("to") != await elsewhere(head):
                frame = await page.next() or {}
            assert frame["hash"] == await elsewhere(digest_of, frame["to"])
        place = f"after_id={frame['to']}"
        async with opened(app, headers, place) as page:
            assert (await page.named("start"))["hash"] == frame["hash"], "the same log"
    await elsewhere(_put_back_and_write, older, 9)
    async with serving() as app, opened(app, headers, place) as page:
        start = await page.named("start")
        assert (start["after"], start["head"]) == (frame["to"], await elsewhere(head))
        assert start["hash"] not in ("", frame["hash"])


async def test_a_place_before_the_first_event_has_no_hash(headers: Headers) -> None:
    async with serving(waiting=100_000) as app, opened(app, headers, "after_id=0") as page:
        assert (await page.named("start"))["hash"] == ""


async def test_a_missing_row_closes_it(headers: Headers) -> None:
    async with serving() as app:
        for comes_later in (False, True):
            async with opened(app, headers) as page:
                if not comes_later:
                    await page.named("start")
                    await elsewhere(_write_with_a_gap)
                assert (await page.named("failure"))["code"] == "AUDIT_GAP"
                await page.to_the_end()
                assert page.code == 4410


async def test_what_no_json_holds_does_not_break_it(headers: Headers) -> None:
    async with serving() as app, opened(app, headers) as page:
        await page.named("start")
        await elsewhere(partial(write, 1, document={"price": float("nan"), "what": object()}))
        await elsewhere(partial(write, 1, document={"text": "\ud800 </script> \u2028"}))
        first, second = await page.lines(2)
        assert "text" in first["html"]
        assert "</script>" in second["html"], "as the renderer gave it"


async def test_a_line_that_cannot_be_made_is_told_plainly_and_escaped(
    headers: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def failing(document: Mapping[str, Any]) -> Shown:
        calls.append(document["seq"])
        raise KeyError("no template")

    async with serving(render=failing) as app, opened(app, headers) as page, opened(app, headers) as other:
        await page.named("start")
        await other.named("start")
        await elsewhere(partial(write, 1, subject="<script>"))
        (line,) = await page.lines(1)
        assert "&lt;script&gt;" in line["html"]
        assert "STRATEGY_CHANGED" in line["html"]
        assert line["pokes"] == list(EVERY_POKE)
        assert await other.lines(1) == [line]
    assert len(calls) == 1, "each is made once for all pages"
    assert "cannot be shown as a line" in caplog.text


async def test_a_line_that_asks_the_database_is_told_plainly(headers: Headers) -> None:
    """It would hold up every client of the process: Django refuses it on the loop."""

    def asking(document: Mapping[str, Any]) -> Shown:
        return Shown("", str(Event.objects.count()))

    async with serving(render=asking) as app, opened(app, headers) as page:
        await page.named("start")
        await elsewhere(write, 1)
        assert "STRATEGY_CHANGED" in (await page.lines(1))[0]["html"]


async def test_a_line_too_large_is_told_by_its_name_and_pokes_its_own_panels(headers: Headers) -> None:
    async with serving() as app, opened(app, headers) as page:
        await page.named("start")
        await elsewhere(partial(write, 1, document={"text": "x" * 30_000}))
        (line,) = await page.lines(1)
        assert len(line["html"]) < 500
        assert line["pokes"] == ["orders"]


async def test_the_lines_that_are_kept_are_bounded(headers: Headers) -> None:
    async with serving() as app, opened(app, headers) as page:
        start = (await page.named("start"))["after"]
        await elsewhere(write, 50)
        await page.lines(50)
        frames = await app._hall.tailer.pages.after(start, start + 50)
    lines = Lines(shown, 1000)
    for frame in frames:
        lines.text(frame)
        assert lines._size == sum(map(len, lines._texts.values())) <= 1000


async def test_nothing_is_lost_or_doubled_over_reconnects_while_many_write(headers: Headers) -> None:
    """Transactions that overlap commit in another order than they began; the pages come and go all the time."""
    writers, each = 6, 7
    async with serving() as app:
        start = await elsewhere(head)
        writing = [asyncio.create_task(elsewhere(_write_slowly, number, each)) for number in range(writers)]
        found = await asyncio.gather(*(_read_in_pieces(app, headers, start, writers * each) for _ in range(3)))
        await asyncio.gather(*writing)
    assert found == [list(range(start + 1, start + writers * each + 1))] * 3


async def _read_in_pieces(app: Any, headers: Headers, start: int, count: int) -> list[int]:
    seen: list[int] = []
    while len(seen) < count:
        async with opened(app, headers, f"after_id={seen[-1] if seen else start}") as page:
            seen += await page.seqs(min(7, count - len(seen)))
    return seen


@pytest.mark.postgres
async def test_a_database_that_goes_and_comes_is_told_and_nothing_is_lost(headers: Headers, own_session: int) -> None:
    async with serving() as app, opened(app, headers) as page:
        start = (await page.named("start"))["after"]
        await elsewhere(_shut, own_session)
        try:
            assert await page.named("away") is True
            async with opened(app, headers) as late:
                assert (await late.to_the_end())[-1]["away"] is True
                assert late.code == 4503
        finally:
            await elsewhere(_open)
        assert await page.named("away") is False
        await elsewhere(write, 2)
        assert await page.seqs(2) == [start + 1, start + 2]


async def test_that_the_database_is_away_and_back_is_told(headers: Headers) -> None:
    async with serving() as app, opened(app, headers) as page:
        await page.named("start")
        (socket,) = app._hall.guests
        socket.away(is_away=True)  # type: ignore[attr-defined]
        assert await page.named("away") is True
        socket.away(is_away=False)  # type: ignore[attr-defined]
        assert await page.named("away") is False


def test_what_daphne_holds_is_read_from_its_transport() -> None:
    class Transport:
        dataBuffer, offset, _tempDataLen = b"12345", 2, 10

    class Protocol:
        transport = Transport()

    async def reply(protocol: Protocol, message: object) -> None: ...

    assert held_by(partial(reply, Protocol())) == 13
    assert held_by(reply) == 0


async def test_many_pages_come_and_leave(headers: Headers, boss: User) -> None:
    async with serving(per_person=100) as app:
        pages = [Page(app, headers) for _ in range(60)]
        for page in pages:
            page.begin()
        for page in pages:
            await page.named("start")
        await elsewhere(write, 1)
        for page in pages:
            await page.seqs(1)
        for page in pages:
            await page.leave()
        assert (len(app._hall.guests), app._hall.doors._in_all, dict(app._hall.doors._open)) == (0, 0, {})
