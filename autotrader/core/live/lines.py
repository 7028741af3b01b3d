"""Events as the lines of pages: each is made once for all pages of this process, and none can break a socket."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from django.utils.html import format_html

from autotrader.core.live.frames import Frame, document_of

logger = logging.getLogger(__name__)
LARGEST = 16 * 1024  # bytes of one line; a larger one is told by its name alone
LONGEST = 100


class Line(Protocol):
    """What a page is told of an event: HTML that is safe to show, and the words of the panels that it touches."""

    @property
    def cause(self) -> str:
        """The correlation id of what it belongs to."""

    @property
    def html(self) -> str:
        """One list item."""

    @property
    def pokes(self) -> Sequence[str]:
        """The words of the panels that show something else now."""

    @property
    def rows(self) -> Sequence[str]:
        """The rows of lists to be asked for at once, each "<list>:<key>"."""


Render = Callable[[Mapping[str, Any]], Line]


class Lines:
    """Lines as JSON in ASCII, at most `kept` bytes of them, the last used ones. `render` may ask no database."""

    def __init__(self, render: Render, kept: int, every_poke: Sequence[str] = ()) -> None:
        self._render, self._kept = render, kept
        self._every_poke = list(every_poke)  # for an event of which nobody knows what it touches
        self._texts: OrderedDict[tuple[int, str], str] = OrderedDict()
        self._size = 0

    def text(self, frame: Frame) -> str:
        """The line of the frame's event. Never raises."""
        key = (frame.seq, frame.hash)
        found = self._texts.get(key)
        if found is not None:
            self._texts.move_to_end(key)
            return found
        found = self._texts[key] = self._made(frame)
        self._size += len(found)
        while self._size > self._kept and len(self._texts) > 1:
            self._size -= len(self._texts.popitem(last=False)[1])
        return found

    def _made(self, frame: Frame) -> str:
        document = document_of(frame)
        try:
            line = self._render(document)
            text = _json(frame.seq, line.cause, line.html, line.pokes, line.rows)
            return text if len(text) <= LARGEST else _json(frame.seq, line.cause, _plain(document), line.pokes)
        except Exception:
            logger.exception("event %d cannot be shown as a line", frame.seq)
            return _json(frame.seq, document["correlation_id"], _plain(document), self._every_poke)


def _plain(document: Mapping[str, Any]) -> str:
    """What every event has."""
    told = (str(document[name])[:LONGEST] for name in ("at", "type", "subject"))
    return format_html('<li class="web-line" data-seq="{}">{} {} {}</li>', document["seq"], *told)


def _json(seq: int, cause: str, html: str, pokes: Sequence[str], rows: Sequence[str] = ()) -> str:
    told = {"seq": seq, "cause": str(cause), "html": str(html), "pokes": list(pokes)}
    if rows:
        told["rows"] = list(rows)
    return json.dumps(told, separators=(",", ":"), allow_nan=False)
