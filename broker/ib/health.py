"""What the status says of the connection beyond "ready": phase, clock, heartbeat, pacing, restart and login."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from broker import types
from broker.ib import restart
from broker.ib.library import LIBRARY
from broker.ib.restart import Schedule
from broker.ib.session import Session


def described(status: types.BrokerStatus, session: Session, schedule: Schedule, now: datetime) -> types.BrokerStatus:
    """The status with all that the adapter knows; `now` by the system's clock. Never blocks."""
    state, age = session.state, session.heartbeat_age
    closed = restart.in_window(schedule, now, state.connected_at, ready=status.ready)
    return replace(
        status,
        phase=_phase(state.phase, ready=status.ready, closed=closed),
        action=session.action,
        in_restart_window=closed,
        next_restart=restart.next_restart(schedule, now),
        next_login=restart.next_login(schedule, now),
        skew_s=state.skew_s if state.connected else None,
        heartbeat_s=None if age is None else Decimal(round(age, 1)).quantize(Decimal("0.1")),
        farms=state.farms,
        pacing=session.pacer.use(),
        library=LIBRARY,
        server_version=state.server_version,
        unmapped_codes=state.unmapped_codes,
    )


def _phase(phase: types.Phase, *, ready: bool, closed: bool) -> types.Phase:
    """A connection that is replayed is not ready before its book was compared."""
    if closed and phase in ("ready", "replaying", "connecting"):
        return "restart_window"
    return "replaying" if phase == "ready" and not ready else phase
