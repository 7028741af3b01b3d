"""The one reader of the log outlives whatever it meets there."""

from __future__ import annotations

import pytest

from autotrader.core.audit.models import AuditHead
from autotrader.core.live import reader
from autotrader.core.users.models import User
from tests.live import calling, elsewhere, make_key, serving, write


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
