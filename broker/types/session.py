"""The connection: what is known of it, and whether orders may leave."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Phase = Literal[
    "connecting",  # no socket yet, trying with back-off
    "needs_person",  # 326, 2FA, a login, a refused account: `action` says what a person must do
    "replaying",  # connected; executions, orders and positions are being read
    "broker_lost",  # 1100: TWS itself has lost IBKR
    "restart_window",  # the gateway is about to restart, or has not been proven to be back
    "ready",
    "stopped",
]


NoteKind = Literal[
    "started",  # the owner began to look for the gateway
    "refused",  # no connection came about
    "connected",  # the gateway has let us in and named its accounts
    "replayed",  # it has told all that it knows; the book is compared next
    "lost",  # the connection ended
    "broker_lost",  # TWS itself has lost IBKR; our connection to it stays
    "broker_back",  # TWS has reached IBKR again
    "code",  # TWS said something of its connections or of what a person must do: `code`
    "action",  # what only a person can do
    "no_action",  # nothing of that kind is needed any more
]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A request without arguments."""


@dataclass(frozen=True, slots=True)
class Farm:
    """One data farm behind TWS, by its last notice."""

    name: str
    kind: Literal["market", "historical", "security"]
    state: Literal["ok", "inactive", "broken", "connecting"]
    since: datetime


@dataclass(frozen=True, slots=True)
class PacingUse:
    """Budgets in use: messages of the last second, historical requests of the last 10 minutes, requests that wait."""

    messages: int
    message_limit: int
    history: int
    history_limit: int
    waiting: int
    violations: int


@dataclass(frozen=True, slots=True)
class LineUse:
    """Shared subscriptions that are open, and how many the broker allows."""

    market_data: int
    market_data_limit: int
    real_time_bars: int


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """What the owner knows of its connection. `ready` = connected, replayed and reconciled.

    `market_now` is the gateway's clock where it declares a set clock (`clock` "set"), else the system's.
    `action` tells a person what only a person can do; `skew_s` is the broker's clock minus ours in seconds, None where
    it is not known; `heartbeat_s` how long ago the broker last answered; `next_restart` and `next_login` are the
    gateway's nightly restart and the weekly login by a person (None with a paper gateway); `unmapped_codes` are
    messages that our table of codes lacks, with how often each has come.
    """

    ready: bool
    connected: bool
    reason: str
    account: str
    accounts: tuple[str, ...]
    clock: Literal["system", "set"]
    market_now: datetime
    since: datetime
    owner: str
    phase: Phase = "connecting"
    action: str = ""
    in_restart_window: bool = False
    next_restart: datetime | None = None
    next_login: datetime | None = None
    skew_s: Decimal | None = None
    heartbeat_s: Decimal | None = None
    farms: tuple[Farm, ...] = ()
    pacing: PacingUse | None = None
    lines: LineUse | None = None
    library: str = ""
    server_version: int = 0
    unmapped_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The newest `limit` notes."""

    limit: int = 100


@dataclass(frozen=True, slots=True)
class ConnectionNote:
    """Something that happened to the connection at `time`, `count` times in a row until `last_at`.

    `code` is that of TWS, 0 where it said nothing. `in_restart_window`: the gateway was about to restart then, or had
    restarted less than 20 minutes ago by its schedule.
    """

    time: datetime
    kind: NoteKind
    text: str
    code: int = 0
    count: int = 1
    last_at: datetime | None = None
    in_restart_window: bool = False


@dataclass(frozen=True, slots=True)
class ServerTime:
    """The broker's clock against ours; `skew_s` = broker minus us.

    The broker tells whole seconds, cut off, so `skew_s` is known to within half a second plus half of `round_trip_s`.
    """

    broker: datetime
    system: datetime
    skew_s: Decimal
    round_trip_s: Decimal
