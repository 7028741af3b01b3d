"""The events lately read, in blocks: a thousand clients that come back at once read each row from the database once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from autotrader.core.live.frames import Frame
from autotrader.core.live.reader import Reader

BLOCK = 256


@dataclass(slots=True)
class _Block:
    """The first frames of a block, without a gap; block n holds the numbers n × 256 + 1 to (n + 1) × 256."""

    frames: list[Frame] = field(default_factory=list)
    size: int = 0

    def add(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self.frames.append(frame)
            self.size += len(frame.body)


Loading = dict[tuple[int, int], asyncio.Task[_Block]]


class Pages:
    """Numbers have no gap, so a row's number tells its block. At most `bytes_kept` bytes stay, the last used ones."""

    def __init__(self, reader: Reader, bytes_kept: int) -> None:
        self._reader = reader
        self._bytes_kept = bytes_kept
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._loading: Loading = {}

    def add(self, frames: Iterable[Frame]) -> None:
        """Keep frames that were read just now, so that nobody reads them again."""
        for frame in frames:
            number, place = divmod(frame.seq - 1, BLOCK)
            block = self._blocks.setdefault(number, _Block()) if place == 0 else self._blocks.get(number)
            if block is not None and len(block.frames) == place:
                block.add([frame])
        self._shrink()

    def clear(self) -> None:
        """Forget everything: the log is another one now."""
        self._blocks = OrderedDict()  # what is being read goes to the old ones
        self._loading = {}

    async def after(self, seq: int, last: int) -> Sequence[Frame]:
        """The frames after `seq`, at most up to `last` and to the end of its block; at least one where seq < last.

        Raises DatabaseAway or TailBroken.
        """
        number, place = divmod(seq, BLOCK)
        wanted = min(last - number * BLOCK, BLOCK)
        block = self._blocks.get(number)
        if block is None or len(block.frames) < wanted:
            block = await self._loaded(number, wanted)
        else:
            self._blocks.move_to_end(number)
        return block.frames[place:wanted]

    async def _loaded(self, number: int, wanted: int) -> _Block:
        loading, key = self._loading, (number, wanted)
        task = loading.get(key)
        if task is None:
            task = loading[key] = asyncio.create_task(self._load(self._blocks, number, wanted))
            task.add_done_callback(lambda done: _forget(loading, key, done))
        return await asyncio.shield(task)  # one client that leaves does not stop it for the others

    async def _load(self, blocks: OrderedDict[int, _Block], number: int, wanted: int) -> _Block:
        block = _Block()
        block.add(await self._reader.frames(number * BLOCK, wanted))
        known = blocks.get(number)
        if known is None or len(known.frames) < len(block.frames):
            blocks[number] = block
        blocks.move_to_end(number)
        self._shrink()
        return block

    def _shrink(self) -> None:
        kept = sum(block.size for block in self._blocks.values())
        while kept > self._bytes_kept and len(self._blocks) > 1:
            kept -= self._blocks.popitem(last=False)[1].size


def _forget(
    loading: dict[tuple[int, int], asyncio.Task[_Block]], key: tuple[int, int], done: asyncio.Task[_Block]
) -> None:
    loading.pop(key, None)
    if not done.cancelled():
        done.exception()  # looked at here, because all who waited may have left
