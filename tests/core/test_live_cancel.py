"""Whoever waits for the reader of the log can be ended at any moment, also at that of the answer."""

from __future__ import annotations

import asyncio
import threading

import pytest

from autotrader.core.live.reader import Reader


@pytest.mark.parametrize("turns", range(6))
async def test_a_question_that_is_cancelled_as_its_answer_comes_ends(turns: int) -> None:
    reader, answered = Reader(answer_s=45), threading.Event()
    task = asyncio.create_task(reader.ask(answered.set))
    await asyncio.sleep(0)
    assert answered.wait(45)
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
    reader.close()
