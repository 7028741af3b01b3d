"""What is known of the connection, for other threads: one frozen state that is replaced, and waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from autotrader.core.clock import system_now
from broker import types
from broker.ib.pacing import Limits


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and as whom; `paper` = our own paper gateway; `limits` "real" = those of a real TWS."""

    host: str
    port: int
    client_id: int
    paper: bool
    limits: Limits = "none"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What the connection knows of itself. `synced` = the replay of this connection is in the sink.

    `since` tells when `connected` or `synced` changed last, `connected_at` when the connection was made. `action` is
    what a person must do; `unmapped_codes` are those of the broker that our table lacks, with how often each has come.
    """

    since: datetime
    connected: bool = False
    synced: bool = False
    accounts: tuple[str, ...] = ()
    account: str = ""
    clock: Literal["system", "set"] = "system"
    reason: str = "not connected yet"
    refusals: int = 0  # of the socket, in a row
    phase: types.Phase = "connecting"
    action: str = ""
    connected_at: datetime | None = None
    farms: tuple[types.Farm, ...] = ()
    skew_s: Decimal | None = None
    server_version: int = 0
    unmapped_codes: tuple[str, ...] = ()


class StateBox:
    """The state now. `set` is called in the loop's thread only."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.now = ConnectionState(since=system_now())

    def set(self, **changes: Any) -> None:
        """Replace what has changed and tell those who wait."""
        state = replace(self.now, **changes)
        if (state.connected, state.synced) != (self.now.connected, self.now.synced):
            state = replace(state, since=system_now())
        with self._changed:
            self.now = state
            self._changed.notify_all()

    def wait(self, until: Callable[[ConnectionState], bool], timeout: float) -> bool:
        """Wait in another thread; False where the time-out passed."""
        with self._changed:
            return self._changed.wait_for(lambda: until(self.now), timeout)
