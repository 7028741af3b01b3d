"""Every code that TWS sends as an error, mapped to one class: it decides what a message ends, marks or changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from broker import types

CLIENT_ID_TAKEN, BROKER_LOST, DATA_LOST, RESTORED, SERVER_LINK_BROKEN = 326, 1100, 1101, 1102, 2110
PORT_CHANGED = 1300
TOO_MANY_MESSAGES, HISTORY_REFUSED, REAL_TIME_REFUSED, VALIDATION = 100, 162, 420, 321
SYSTEM = -1  # the request id of a message that belongs to no request


class Kind(StrEnum):
    """What a code is.

    WARNING ends nothing. REQUEST ends the request of that id. ORDER tells of an order, and ends a what-if.
    CONNECTIVITY changes what is known of TWS's own connections. PERSON needs somebody at TWS; it ends a request, too.
    """

    WARNING = "warning"
    REQUEST = "request error"
    ORDER = "order event"
    CONNECTIVITY = "connectivity"
    PERSON = "human action"


@dataclass(frozen=True, slots=True)
class Meaning:
    """The class of a code; `action` says what a person must do, empty unless the class is PERSON."""

    kind: Kind
    action: str = ""

    @property
    def ends_request(self) -> bool:
        """Whether a request that waits for its answer will get none."""
        return self.kind not in (Kind.WARNING, Kind.CONNECTIVITY)


ACTIONS = {
    326: "Close the program that uses our client id at TWS, or set another AUTOTRADER_BROKER_CLIENT_ID.",
    357: "This program's version of the API is too old for this TWS: update AutoTrader or use an older TWS.",
    438: "TWS is locked: unlock it.",
    503: "TWS or IB Gateway is too old: update it.",
    1300: "The socket port of TWS was changed: set AUTOTRADER_BROKER_PORT to the new one and start the broker again.",
    10015: "TWS does not allow trading through the API: allow it in its settings under API.",
    10197: "Market data goes to another session of the same user (TWS, phone or web): log that one out.",
}
READ_ONLY = "TWS is in Read-Only API mode: clear Read-Only API in its settings under API > Settings."

# Blanks between codes, a dash for all of a range. What appears here was published by IBKR or seen on the wire.
CODES: dict[Kind, str] = {
    Kind.WARNING: (
        "164-165 317 399 404 492 501"
        " 2100-2102 2109 2111 2130 2137 2152 2168-2169"
        " 10014 10016-10019 10090 10167 10233 10239 10285 10288 10311 10329 10331-10335 10347 10349"
    ),
    Kind.REQUEST: (
        "100-102 122-124 138-139 142-143 162 166 200"
        " 300-316 319-324 330-331 344 346 354 365-366 381 384-386 394 414-416 420 430-431 450"
        " 510-511 513-514 516-584"
        " 10089 10091 10168 10186-10187 10189-10190 10225 10230-10232 10238"
        " 10276-10284 10295 10299-10301 10309 10314-10315 10322 10337-10339 10346"
    ),
    Kind.ORDER: (
        "103-107 109-111 113-121 125-129 131-137 140-141 144-148 151-161 163 167-168 201-203"
        " 325 327-329 332-337 342-343 345 347-353 355-356 358-364 367-380 382-383 387-393 395-398"
        " 400-403 405-413 417-419 421-429 432-437 439-449 460-461 512 515"
        " 10000-10003 10005-10013 10020-10027 10147-10148"
        " 10234-10237 10240-10254 10268-10272 10286-10287 10289-10294 10296-10298"
        " 10302-10308 10310 10312 10316-10319 10321 10324-10328 10330 10336 10340-10345"
    ),
    Kind.CONNECTIVITY: "502 504-509 1100-1102 2103-2108 2110 2119 2157-2158",
    Kind.PERSON: "326 357 438 503 1300 10015 10197",
}


def _codes(text: str) -> Iterator[int]:
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _table() -> dict[int, Meaning]:
    found: dict[int, Meaning] = {}
    for kind, text in CODES.items():
        for code in _codes(text):
            if code in found:
                raise ValueError(f"code {code} is both {found[code].kind} and {kind}")
            found[code] = Meaning(kind, ACTIONS.get(code, ""))
    return found


TABLE = _table()
FarmKind = Literal["market", "historical", "security"]
FarmState = Literal["ok", "inactive", "broken", "connecting"]
_FARMS: dict[int, tuple[FarmKind, FarmState]] = {
    2103: ("market", "broken"),
    2104: ("market", "ok"),
    2105: ("historical", "broken"),
    2106: ("historical", "ok"),
    2107: ("historical", "inactive"),
    2108: ("market", "inactive"),
    2119: ("market", "connecting"),
    2157: ("security", "broken"),
    2158: ("security", "ok"),
}


def is_good_news(code: int) -> bool:
    """Whether TWS says that a farm is there: on every connect, and without need to do anything."""
    return code in _FARMS and _FARMS[code][1] in ("ok", "inactive")


def meaning(code: int, text: str) -> Meaning | None:
    """What a message is; None where the code is in nobody's list."""
    if code == VALIDATION and "read-only" in text.lower():
        return Meaning(Kind.PERSON, READ_ONLY)
    return TABLE.get(code)


def is_pacing_violation(code: int, text: str) -> bool:
    """Whether TWS says that we ask too much."""
    return code in (TOO_MANY_MESSAGES, REAL_TIME_REFUSED) or (code == HISTORY_REFUSED and "pacing" in text.lower())


def farm(code: int, text: str, now: datetime) -> types.Farm | None:
    """The farm that a notice tells of; TWS writes its name behind the last colon."""
    if code not in _FARMS:
        return None
    kind, state = _FARMS[code]
    return types.Farm(text.rpartition(":")[2].strip(), kind, state, now)
