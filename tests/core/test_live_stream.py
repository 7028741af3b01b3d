"""The event stream as a program sees it: every event once and in order, whatever happens in between."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from django.db import connection

from autotrader.core.audit.models import AuditHead, Event
from autotrader.core.live.listening import NOT_LIBPQ
from autotrader.core.live.tailer import tailer_state
from autotrader.core.users.models import User
from tests import database
from tests.live import Caller, calling, elsewhere, make_key, serving, until, write
from tests.support import PATIENCE_S

Headers = dict[str, str]


@pytest.fixture
def boss(transactional_db: None) -> User:
    return User.objects.create_superuser("boss", password="x")


@pytest.fixture
def key(boss: User) -> Headers:
    return make_key(boss)


def head() -> int:
    return AuditHead.objects.get().seq


async def test_a_stream_begins_now_and_tells_where_that_is(key: Headers) -> None:
    await elsewhere(write, 3)
    async with serving() as app, calling(app, key) as caller:
        assert caller.status == 200
        assert caller.answer["content-type"] == "text/event-stream"
        assert caller.answer["cache-control"] == "no-store"
        assert caller.answer["x-accel-buffering"] == "no"
        assert len(caller.answer["x-correlation-id"]) == 32
        start = await caller.named("start")
        now = await elsewhere(head)
        last = await elsewhere(lambda: AuditHead.objects.get().hash)
        assert (start.id, start.data) == (now, {"after_id": now, "hash": last, "head": now})
        await elsewhere(partial(write, 1, account="DU1", document={"price": 1}))
        told = (await caller.named("")).data
        assert (told["seq"], told["type"], told["account"]) == (now + 1, "STRATEGY_CHANGED", "DU1")
        assert told["document"] == {"price": 1}
        assert told["at"].endswith("Z")


async def test_from_the_beginning_through_many_pages_and_then_live(key: Headers) -> None:
    await elsewhere(write, 700)
    async with serving() as app, calling(app, key, "after_id=0") as caller:
        now = await elsewhere(head)
        assert await caller.seqs(now) == list(range(1, now + 1))
        await elsewhere(write, 2)
        assert await caller.seqs(2) == [now + 1, now + 2]


async def test_the_last_id_seen_wins_over_after_id(key: Headers) -> None:
    await elsewhere(write, 5)
    async with serving() as app, calling(app, {**key, "Last-Event-ID": "3"}, "after_id=1") as caller:
        assert await caller.seqs(1) == [4]


async def test_an_event_is_told_at_once_by_what_the_database_says(key: Headers) -> None:
    """Nothing is looked at for an hour without NOTIFY, or without the change of SQLite's file."""
    async with serving(look_s=3600.0) as app, calling(app, key) as caller:
        start = (await caller.named("start")).data["after_id"]
        for number in range(1, 6):  # more than a beginning looks, whenever it does
            await elsewhere(write, 1)
            assert await caller.seqs(1) == [start + number]


async def test_a_quiet_stream_shows_that_it_lives(key: Headers) -> None:
    async with serving(keep_alive_s=0.1) as app, calling(app, key) as caller:
        await caller.named("start")
        frame = await caller.next()
        assert frame is not None
        assert frame.comment == "keep-alive"


async def test_a_response_ends_at_its_size_and_the_next_goes_on(key: Headers) -> None:
    await elsewhere(partial(write, 120, document={"text": "x" * 500}))
    now = await elsewhere(head)
    seen, responses = [0], 0
    async with serving(largest=20_000) as app:
        while seen[-1] < now:
            async with calling(app, key, f"after_id={seen[-1]}") as caller:
                while seen[-1] < now and (frame := await caller.next()) is not None:
                    seen += [frame.data["seq"]] if not frame.event else []
            assert len(caller.body) <= 20_000
            responses += 1
    assert seen == list(range(now + 1))
    assert responses >= 5


async def test_an_event_larger_than_a_response_is_told_alone(key: Headers) -> None:
    now = await elsewhere(head)
    await elsewhere(partial(write, 1, document={"text": "x" * 30_000}))
    async with serving(largest=20_000) as app, calling(app, key, f"after_id={now}") as caller:
        assert await caller.seqs(1) == [now + 1]
        await elsewhere(write, 1)
        assert await caller.to_the_end() == []


async def test_a_response_ends_in_time(key: Headers) -> None:
    async with serving(longest_s=0.1, keep_alive_s=0.2) as app, calling(app, key) as caller:
        await caller.named("start")
        assert await caller.to_the_end() == []


async def test_a_client_that_does_not_take_is_sent_off_and_loses_nothing(key: Headers) -> None:
    async with serving() as app:
        async with calling(app, key) as caller:
            start = (await caller.named("start")).data["after_id"]
            (stream,) = app._streams
            caller.stop_taking()
            await elsewhere(write, 10)
            await until(lambda: stream._taking_since is not None)  # some are being sent; what comes now waits
            await elsewhere(write, 400)
            await until(lambda: stream._last_words is not None)
            caller.take()
            resync = await caller.named("resync")
            assert resync.data == {"after_id": start, "reason": "slow"}
            assert resync.id == start
            assert await caller.next() is None
        async with calling(app, {**key, "Last-Event-ID": str(resync.id)}) as caller:
            assert await caller.seqs(410) == list(range(start + 1, start + 411))


async def test_a_burst_is_taken_by_one_that_reads(key: Headers) -> None:
    async with serving() as app, calling(app, key) as caller:
        start = (await caller.named("start")).data["after_id"]
        await elsewhere(write, 700)
        assert await caller.seqs(700) == list(range(start + 1, start + 701))


async def test_a_place_beyond_the_end_is_put_right(key: Headers) -> None:
    async with serving() as app:
        now = await elsewhere(head)
        async with calling(app, key, f"after_id={now + 50}") as caller:
            told = await caller.to_the_end()
            assert [(frame.event, frame.data) for frame in told] == [
                ("resync", {"after_id": now, "reason": "restored"})
            ]
        async with calling(app, key, f"after_id={now}") as caller:
            assert (await caller.named("start")).data["after_id"] == now


@pytest.mark.parametrize("since", [0, 4, 9])
async def test_an_older_copy_of_the_database_is_noticed(key: Headers, since: int) -> None:
    """Also where it has as many rows as the one before, or more: then by the hash of the row that was read last."""
    await elsewhere(write, 3)
    older = await elsewhere(database.copied)
    await elsewhere(write, 4)
    async with serving() as app, calling(app, key) as caller:
        await caller.named("start")
        await elsewhere(_put_back_and_write, older, since)
        now = await elsewhere(head)
        assert (await caller.named("resync")).data == {"after_id": now, "reason": "restored"}
        assert await caller.next() is None


async def test_a_client_that_was_away_sees_that_the_log_is_another(key: Headers) -> None:
    """It has grown beyond the client's place again, so that only the hash of the event there tells it."""
    await elsewhere(write, 3)
    older = await elsewhere(database.copied)
    await elsewhere(write, 2)
    now = await elsewhere(head)
    back = {**key, "Last-Event-ID": str(now)}
    async with serving() as app, calling(app, key, f"after_id={now - 1}") as caller:
        seen = (await caller.named("")).data
        async with calling(app, back) as again:
            assert (await again.named("start")).data["hash"] == seen["hash"]
    await elsewhere(_put_back_and_write, older, 5)
    async with serving() as app, calling(app, back) as caller:
        start = (await caller.named("start")).data
        assert (start["after_id"], start["head"]) == (now, now + 3)
        assert start["hash"] not in (None, seen["hash"])


def _put_back_and_write(older: database.Rows, count: int) -> None:
    from django.db import transaction

    with transaction.atomic():
        database.put_back(older)  # type: ignore[arg-type]
        if count:
            write(count, subject="other")


async def test_a_missing_row_ends_the_stream_and_is_told(key: Headers) -> None:
    async with serving() as app:
        async with calling(app, key) as caller:
            start = (await caller.named("start")).data["after_id"]
            await elsewhere(_write_with_a_gap)
            failure = await caller.named("failure")
            assert failure.data["code"] == "AUDIT_GAP"
            assert await caller.next() is None
            assert str(start + 2) in tailer_state().problem
        async with calling(app, key) as caller:
            assert caller.status == 500
            assert b"AUDIT_GAP" in caller.body


def _write_with_a_gap() -> None:
    from django.db import transaction

    with transaction.atomic(), connection.cursor() as cursor, database.append_only_lifted(cursor):
        write(3)
        last = Event.objects.order_by("-seq")[1]
        cursor.execute("DELETE FROM audit_event WHERE seq = %s", [last.seq])


async def test_what_no_json_holds_does_not_break_it(key: Headers) -> None:
    async with serving() as app, calling(app, key) as caller:
        await caller.named("start")
        await elsewhere(partial(write, 1, document={"price": float("nan"), "what": object()}))
        await elsewhere(write, 1)
        assert (await caller.named("")).data["quarantined"] is True
        assert (await caller.named("")).data["quarantined"] is False


async def test_a_key_of_one_account_is_told_of_no_other(boss: User, transactional_db: None) -> None:
    mine = await elsewhere(partial(make_key, boss, accounts=("DU1",)))
    async with serving(keep_alive_s=0.2) as app, calling(app, mine) as caller:
        told = (await caller.named("start")).data
        assert told["hash"] is None, "the event there is not for this key"
        start = told["after_id"]
        for account in ("DU2", "", "DU1", "DU2"):
            await elsewhere(partial(write, 1, account=account))
        told = await caller.named("")
        assert (told.id, told.data["account"]) == (start + 3, "DU1")
        # A sign of life carries the number of what was passed over, so that it is not read again.
        while (frame := await caller.next()) is not None and frame.id != start + 4:
            assert frame.data is None
        assert frame is not None


async def test_a_place_is_never_told_behind_an_event(boss: User, transactional_db: None) -> None:
    mine = await elsewhere(partial(make_key, boss, accounts=("DU1",)))
    async with serving() as app, calling(app, mine) as caller:
        start = (await caller.named("start")).data["after_id"]
        (stream,) = app._streams
        await elsewhere(partial(write, 1, account="DU2"))
        await until(lambda: stream._at == start + 1)
        caller.stop_taking()
        await elsewhere(partial(write, 1, account="DU1"))
        await until(lambda: stream._taking_since is not None)
        # A sign of life is due while the event is on its way.
        stream.tick(asyncio.get_running_loop().time() + app._rules.keep_alive_s + 1)
        caller.take()
        assert (await caller.named("")).id == start + 2
        sign = await caller.next()
        assert sign is not None
        assert (sign.comment, sign.id) == ("keep-alive", None)


async def test_the_tailer_ends_after_its_last_client_and_begins_again(key: Headers) -> None:
    async with serving() as app:
        for _ in range(2):
            app._tailer._rules = app._rules  # a client that comes is waited for long enough
            async with calling(app, key) as caller:
                await caller.named("start")
                app._tailer._rules = replace(app._rules, grace_s=0.1)
                state = tailer_state()
                assert (state.alive, state.subscribers, state.problem) == (True, 1, "")
                assert state.lag_events(await elsewhere(head)) == 0
                await elsewhere(write, 1)
                await caller.seqs(1)
            await until(lambda: not tailer_state().alive)


async def test_nothing_is_lost_or_doubled_over_reconnects_while_many_write(key: Headers) -> None:
    """Transactions that overlap commit in another order than they began; the readers come and go all the time."""
    writers, each = 6, 7
    async with serving() as app:
        start = await elsewhere(head)
        writing = [asyncio.create_task(elsewhere(_write_slowly, number, each)) for number in range(writers)]
        readers = [_read_in_pieces(app, key, start, writers * each) for _ in range(3)]
        found = await asyncio.gather(*readers)
        await asyncio.gather(*writing)
    wanted = list(range(start + 1, start + writers * each + 1))
    assert found == [wanted] * 3


def _write_slowly(number: int, count: int) -> None:
    for _ in range(count):
        write(1, subject=f"writer:{number}")


async def _read_in_pieces(app: Any, key: Headers, start: int, count: int) -> list[int]:
    seen: list[int] = []
    while len(seen) < count:
        async with calling(app, key, f"after_id={seen[-1] if seen else start}") as caller:
            seen += await caller.seqs(min(7, count - len(seen)))
    return seen


@pytest.fixture
def own_session(transactional_db: None) -> int:
    """The number of this test's own session with PostgreSQL."""
    connection.ensure_connection()
    number: int = connection.connection.info.backend_pid
    return number


@pytest.mark.postgres
async def test_a_database_that_goes_and_comes_is_told_and_nothing_is_lost(key: Headers, own_session: int) -> None:
    async with serving() as app, calling(app, key) as caller:
        start = (await caller.named("start")).data["after_id"]
        await elsewhere(_shut, own_session)
        try:
            await _comment(caller, "database away")
            async with calling(app, key) as late:
                assert late.status == 503
                assert late.answer["retry-after"] == "1"
        finally:
            await elsewhere(_open)
        await _comment(caller, "database back")
        await elsewhere(write, 2)
        assert await caller.seqs(2) == [start + 1, start + 2]


async def _comment(caller: Caller, text: str) -> None:
    while (frame := await caller.next()) is not None and frame.comment != text:
        assert frame.data is None
    assert frame is not None


def _shut(spared: int) -> None:
    """PostgreSQL lets nobody into the test's database, and sends off who is there but the test itself."""
    _as_owner("ALTER DATABASE {} ALLOW_CONNECTIONS false")
    of = f"quote_ident(datname) = '{{}}' AND pid <> {spared}"
    _as_owner(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {of}")


def _open() -> None:
    _as_owner("ALTER DATABASE {} ALLOW_CONNECTIONS true")


def _as_owner(statement: str) -> None:
    import psycopg

    name = connection.settings_dict["NAME"]
    parameters = {**connection.get_connection_params(), "dbname": "postgres"}
    for ours in NOT_LIBPQ:
        parameters.pop(ours, None)
    with psycopg.connect(**parameters, autocommit=True) as other:
        other.execute(statement.format(name))


async def test_many_clients_cost_no_more_threads_or_connections(key: Headers, boss: User) -> None:
    others = set(threading.enumerate())  # of a test before, which are about to end
    async with serving(per_key=100) as app:
        callers = [Caller(app, key) for _ in range(60)]
        for caller in callers:
            caller.begin()
        for caller in callers:
            await caller.named("start")
        await elsewhere(write, 1)
        for caller in callers:
            await caller.seqs(1)
        names = ("events", "stream-")
        ours = set(threading.enumerate()) - others
        assert len([thread for thread in ours if thread.name.startswith(names)]) <= 4
        if connection.vendor == "postgresql":
            async with asyncio.timeout(PATIENCE_S):  # for those of a test before to end
                while await elsewhere(_connections) > 5 + 1:  # and the one that counts
                    pass
        for caller in callers:
            await caller.leave()


def _connections() -> int:
    with connection.cursor() as cursor:
        of_clients = "datname = current_database() AND backend_type = 'client backend'"
        cursor.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {of_clients}")
        count: int = cursor.fetchone()[0]
    return count
