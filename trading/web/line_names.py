"""Which instrument an event is about: learned from the events themselves, so that a line asks no database."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

KEPT = 20_000


class Names:
    """Symbols by what events name: `instrument:5`, `order:A…-E`, `execution:7`, `cause:<correlation id>`.

    For any thread. What is not known stays "": the line then speaks of the order's reference alone.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._symbols: OrderedDict[str, str] = OrderedDict()
        self._kept = kept

    def symbol(self, document: Mapping[str, Any]) -> str:
        """The symbol, "" where nothing has told it; what the event names is known by it from now on."""
        keys = keys_of(document)
        with self._lock:
            found = _own(document) or next((self._symbols[key] for key in keys if key in self._symbols), "")
            if found:
                self._keep(keys, found)
        return found

    def learn(self, symbols: Mapping[str, str]) -> None:
        """Know these from now on."""
        with self._lock:
            for key, symbol in symbols.items():
                self._keep([key], symbol)

    def unknown(self, documents: Iterable[Mapping[str, Any]]) -> set[str]:
        """What could be asked for these events, the oldest first, of which no symbol is known."""
        missing: set[str] = set()
        for document in documents:
            if not self.symbol(document):
                missing.update(keys_of(document))
        return missing

    def _keep(self, keys: Iterable[str], symbol: str) -> None:
        for key in keys:
            self._symbols[key] = symbol
            self._symbols.move_to_end(key)
        while len(self._symbols) > self._kept:
            self._symbols.popitem(last=False)


NAMES = Names()


def keys_of(document: Mapping[str, Any]) -> list[str]:
    """What an event names that belongs to one instrument, the surest first."""
    facts = _facts(document)
    room, _, name = str(document.get("subject") or "").partition(":")
    keys = [f"instrument:{facts['instrument']}"] if facts.get("instrument") else []
    reference = facts.get("order_ref") or facts.get("order")
    if room == "change":
        reference = name.rpartition(".")[0]
    if reference:
        keys.append(f"order:{reference}")
    if room == "step":
        room, name = "execution", name.partition(".")[0]
    if room in ("order", "execution", "decision", "trade", "approval", "instrument") and f"{room}:{name}" not in keys:
        keys.append(f"{room}:{name}")
    # A cycle is about many instruments; an execution, and what it or a request led to, about one.
    cause = str(document.get("correlation_id") or "")
    if cause and room not in ("cycle", "snapshot", "halt"):
        keys.append(f"cause:{cause}")
    return keys


def _own(document: Mapping[str, Any]) -> str:
    symbol = _facts(document).get("symbol")
    return symbol[:40] if isinstance(symbol, str) else ""


def _facts(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get("document")
    return found if isinstance(found, Mapping) else {}
