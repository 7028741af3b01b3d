"""What TWS says of itself in error frames: outages, farms, what a person must do, and codes that nobody knows."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from autotrader.core.clock import system_now
from broker import types
from broker.ib import codes
from broker.ib.codes import Kind, Meaning

log = logging.getLogger(__name__)
TAKEN_FOR_GOOD = 3  # refusals in a row after which the client id of a killed process must have been freed
BLOCKING = frozenset({326, 357, 503, 1300, codes.VALIDATION})  # no connection is of use before the action is taken
MOST_UNMAPPED, OTHERS = 50, "others"
ADVICE_LASTS = 600.0  # seconds that any other action is shown: TWS does not tell when it was taken


@dataclass(frozen=True, slots=True)
class Reactions:
    """What the session does about it, in the loop's thread: `drop` gives the connection up, the others say why.

    `noted` is told the code and the text of all that concerns the connection.
    """

    changed: Callable[..., None]
    taken: Callable[[str], None]
    lost: Callable[[str], None]
    restored: Callable[[], None]
    drop: Callable[[str], None]
    noted: Callable[[int, str], None]


class Notices:
    """Hears every error frame of one session; what it says lasts over connections until something else is said."""

    def __init__(self, react: Reactions, clock: Callable[[], float] = time.monotonic) -> None:
        self._react = react
        self._clock = clock
        self._taken = 0
        self._port_changed = False
        self._lost_by = 0
        self._advised_at: float | None = None
        self._farms: dict[tuple[str, str], types.Farm] = {}
        self._unmapped: Counter[str] = Counter()

    def hear(self, request_id: int, code: int, text: str) -> None:
        """One error frame."""
        known = codes.meaning(code, text)
        if known is not None and known.kind in (Kind.PERSON, Kind.CONNECTIVITY):
            self._react.noted(code, text)
        if known is None:
            self._count(request_id, code, text)
        elif known.kind is Kind.PERSON:
            self._ask_a_person(known, request_id, code, text)
        elif known.kind is Kind.CONNECTIVITY:
            self._connectivity(code, text)

    def connecting(self) -> None:
        """A new connection begins: the farms will be told anew."""
        self._lost_by = 0
        self._farms.clear()
        self._react.changed(farms=())

    def connected(self) -> None:
        """A handshake has ended well: what kept us out is over."""
        self._taken = 0
        self._port_changed = False
        self._show("")

    def disconnected(self) -> None:
        """What was advice for a connection is void with it."""
        if self._advised_at is not None:
            self._show("")

    def blocked(self, action: str) -> None:
        """There is no connection before a person has acted."""
        self._show(action)

    def refused(self) -> None:
        """Nothing listens at the port: nobody is kept out by anything but a port that was changed."""
        if not self._port_changed:
            self._show("")

    def advice_is_old(self) -> bool:
        """Whether the action shown is advice of long ago. For any thread."""
        advised_at = self._advised_at
        return advised_at is not None and self._clock() - advised_at > ADVICE_LASTS

    def _count(self, request_id: int, code: int, text: str) -> None:
        log.warning("code %s of the broker is in no list of ours (id %s): %s", code, request_id, text)
        is_counted = str(code) in self._unmapped or len(self._unmapped) < MOST_UNMAPPED
        self._unmapped[str(code) if is_counted else OTHERS] += 1
        self._react.changed(unmapped_codes=tuple(f"{each} x{count}" for each, count in sorted(self._unmapped.items())))

    def _ask_a_person(self, known: Meaning, request_id: int, code: int, text: str) -> None:
        if code == codes.CLIENT_ID_TAKEN:
            self._taken += 1
            self._react.taken(text)
            if self._taken < TAKEN_FOR_GOOD:
                return
        self._show(known.action, advice=code not in BLOCKING or request_id != codes.SYSTEM)
        self._port_changed = code == codes.PORT_CHANGED
        if code == codes.VALIDATION and request_id == codes.SYSTEM:
            self._react.drop(f"TWS answers no question about orders ({code}: {text})")

    def _show(self, action: str, *, advice: bool = False) -> None:
        self._advised_at = self._clock() if advice else None
        self._react.changed(action=action)

    def _connectivity(self, code: int, text: str) -> None:
        farm = codes.farm(code, text, system_now())
        if farm is not None:
            self._farms[farm.kind, farm.name] = farm
            self._react.changed(farms=tuple(self._farms.values()))
        if code in (codes.BROKER_LOST, codes.SERVER_LINK_BROKEN):
            self._lost_by = self._lost_by or code
            self._react.lost(f"TWS has lost its connection to the broker ({code}: {text})")
        elif code in (codes.RESTORED, codes.DATA_LOST) or self._is_back(farm):
            self._lost_by = 0
            self._react.restored()

    def _is_back(self, farm: types.Farm | None) -> bool:
        """A broken server link (2110) may end without 1101 or 1102; a farm that works shows that it has."""
        return self._lost_by == codes.SERVER_LINK_BROKEN and farm is not None and farm.state == "ok"
