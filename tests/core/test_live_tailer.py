"""The one reader of the log outlives whatever it meets there."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime

import pytest
from django.db import connection

from autotrader.core.audit.models import AuditHead
from autotrader.core.clock import system_now
from autotrader.core.live import reader
from autotrader.core.live.pages import BLOCK
from autotrader.core.live.tailer import SIDES, tailer_state
from autotrader.core.users.models import User
from tests.live import calling, elsewhere, make_key, serving, until, write
from tests.support import PATIENCE_S


async def test_a_log_without_its_head_is_waited_for(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while an older copy is put back: nobody is kept waiting for an answer, and nothing is lost afterwards."""
    key = await elsewhere(lambda: make_key(User.objects.create_superuser("boss", password="x")))
    found, missing = reader._head, [True]

    def head() -> reader.Place:
        if missing:
            raise AuditHead.DoesNotExist
        return found()

    monkeypatch.setattr(reader, "_head", head)
    async with serving() as app:
        async with calling(app, key) as early:
            assert early.status == 503
        missing.clear()
        while early.status == 503:
            async with calling(app, key) as early:
                pass
        async with calling(app, key) as caller:
            await caller.named("start")
            missing.append(True)
            assert (await caller.next()).comment == "database away"  # type: ignore[union-attr]
            missing.clear()
            await elsewhere(write, 1)
            assert await caller.seqs(1)


async def test_who_has_more_to_read_has_not_looked_to_the_end(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await elsewhere(lambda: make_key(User.objects.create_superuser("boss", password="x")))
    found, going_on = reader._news, threading.Event()
    read_at: list[datetime] = []

    def news(place: reader.Place, limit: int) -> reader.News:
        if read_at:
            going_on.wait(PATIENCE_S)
        told = found(place, limit)
        if len(told.frames) == limit:
            read_at.append(system_now())
        return told

    monkeypatch.setattr(reader, "_news", news)
    async with serving(answer_s=2 * PATIENCE_S) as app, calling(app, key) as caller:
        start = (await caller.named("start")).data["after_id"]
        await elsewhere(write, BLOCK + 1)
        try:
            await until(lambda: tailer_state().seq == start + BLOCK)
            looked_at = tailer_state().looked_at
            assert looked_at is not None
            assert looked_at < read_at[0]
        finally:
            going_on.set()
        await until(lambda: (tailer_state().looked_at or read_at[0]) > read_at[0])


@pytest.mark.both
async def test_what_pages_show_beside_the_log_is_read_by_as_many_as_have_a_connection(transactional_db: None) -> None:
    """On PostgreSQL by two, on SQLite by one; what has the same turn is read one after the other."""
    key = await elsewhere(lambda: make_key(User.objects.create_superuser("boss", password="x")))
    count = SIDES.get(connection.vendor, 1)
    all_read = threading.Barrier(count)
    async with serving() as app, calling(app, key) as caller:
        await caller.named("start")
        read = app._tailer.read
        both = [read(lambda: all_read.wait(PATIENCE_S), turn) for turn in range(count)]
        assert sorted(await asyncio.gather(*both)) == list(range(count))
        threads = await asyncio.gather(*(read(threading.get_ident, 1) for _ in range(9)))
        assert len(set(threads)) == 1
