"""Halting and releasing: the one way for the command, the admin, the page and the API."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from django.db import DatabaseError

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.errors import AutoTraderError, Invalid
from broker import gates, get_broker, types
from broker.errors import BrokerError
from broker.gates import Cancel, HaltReading, HaltState

logger = logging.getLogger(__name__)
HALT_PERMISSION = "trading.halt_trading"
RELEASE_PERMISSION = "trading.release_trading"
PROTECTION_PERMISSION = "trading.remove_protection"
STOPS_STAY = (
    "Only entries were asked to end: to end protective stops needs the permission "
    f"{PROTECTION_PERMISSION}, and of a key the scope admin."
)
SHORTEST_REASON, LONGEST_REASON = 3, 500
WAIT_S = 5.0
Hand = Literal["person", "program"]


class NotAllowed(AutoTraderError):
    """The one who asks may not do this."""

    code = "NOT_ALLOWED"
    status = 403


@dataclass(frozen=True, slots=True)
class HaltOutcome:
    """What is in force now and what became of the cancels: `asked` and `confirmed` count orders, `working` names those
    whose end is not proven, `kept` those that stay on purpose. `problem` says why `done` is false, `left_out` what the
    one who asked may not have ended."""

    reading: HaltReading
    cancel: Cancel
    asked: int = 0
    confirmed: int = 0
    working: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    done: bool = True
    problem: str = ""
    left_out: str = ""

    @property
    def sentence(self) -> str:
        """For people: the state, the numbers and what was left out."""
        return f"{self._numbers} {self.left_out}".rstrip()

    @property
    def _numbers(self) -> str:
        state = f"Trading is {self.reading.state.value}."
        if not self.cancel:
            return f"{state} Mind: {self.problem}." if self.problem else f"{state} No order was cancelled."
        told = f"{self.asked} asked to end, {self.confirmed} confirmed, {len(self.kept)} kept on purpose"
        if self.done:
            return f"{state} Orders: {told}."
        in_doubt = f"; in doubt: {', '.join(self.working)}" if self.working else ""
        return f"{state} Orders: {told}{in_doubt}. Not everything is proven: {self.problem}; the owner goes on."


def halt(
    *,
    actor: str,
    reason: str,
    state: HaltState = HaltState.HALTED,
    cancel: Cancel = "entries",
    may_unprotect: bool = False,
    wait_s: float = WAIT_S,
) -> HaltOutcome:
    """Tighten: file, row, then the owner's cancels, waiting `wait_s` for their proof; a stricter state stays.

    Who may not leave positions without their stops halts all the same: without `may_unprotect` "all" ends the entries
    alone, and the outcome says so. What cannot be reached is told in the outcome: the halt itself stands by the file.
    Raises Invalid for a reason that is none.
    """
    if cancel == "all" and not may_unprotect:
        outcome = halt(actor=actor, reason=reason, state=state, cancel="entries", wait_s=wait_s)
        return replace(outcome, left_out=STOPS_STAY)
    reason = reason_checked(reason)
    if state is HaltState.ACTIVE:
        raise Invalid("A halt is HALTED or REDUCING; to open trading again, release it.", details={"field": "state"})
    try:
        gates.halt_set(state, actor, reason, cancel=cancel)
    except DatabaseError:
        logger.exception("the Halt's row is not written yet; the file holds")
    reading = gates.halt_reading()
    if not cancel:
        return HaltOutcome(reading, cancel)
    return _cancelled(types.Kill(cast("Any", state.value), cancel, actor, reason, reading.run, wait_s), reading)


def _cancelled(request: types.Kill, reading: HaltReading) -> HaltOutcome:
    """Ask the owner, and tell how far it came."""
    try:
        with get_broker(own=False) as broker:
            report = broker.kill(request)
    except BrokerError as error:
        return HaltOutcome(reading, request.cancel, done=False, problem=error.message.rstrip("."))
    return outcome_of(report)


def outcome_of(report: types.KillReport) -> HaltOutcome:
    """The owner's report with what is in force now."""
    counts = (report.asked, report.confirmed, report.working, report.kept)
    return HaltOutcome(gates.halt_reading(), report.cancel, *counts, report.done, report.problem.rstrip("."))


def release(
    *, user: Any, reason: str, seen: str, to: HaltState = HaltState.ACTIVE, hand: Hand = "person"
) -> HaltOutcome:
    """Loosen to ACTIVE or REDUCING, by a person with the permission, for a reason.

    `seen` names the halt that is meant, as its reading tells: a newer one stays, and without it nothing is released.
    Cancels that are not proven end with it; the outcome warns of them. Raises NotAllowed (on record), Invalid, Conflict
    where another halt came since or the file cannot be removed.
    """
    reason = reason_checked(reason)
    if to is HaltState.HALTED:
        raise Invalid("A release goes to ACTIVE or REDUCING.", details={"field": "state"})
    refusal = may_release(user, hand)
    if refusal:
        _record_refusal(user, refusal)
        raise NotAllowed(refusal)
    if not seen:
        raise Invalid("Say which halt is meant: `seen` of the halt that was looked at.", details={"field": "seen"})
    before = gates.halt_reading()
    reading = gates.halt_release(user.get_username(), reason, to=to, seen=seen)
    open_cancels = bool(before.cancel) and before.cancelled_at is None
    warning = "the cancels of the halt were not proven; look at the open orders" if open_cancels else ""
    if reading.state is not to:
        warning = f"it stays {reading.state.value}: {reading.reason}"
    return HaltOutcome(reading, "", done=not warning, problem=warning)


def may_release(user: Any, hand: Hand = "person") -> str:
    """Why this one may not loosen a halt; empty where they may. A program, whoever's key it has, never may."""
    if hand != "person":
        return "A program may halt, but only a person releases."
    if not user.is_active:
        return f"{user.get_username()} is not active."
    if not user.has_perm(RELEASE_PERMISSION):
        return f"To loosen a halt needs the permission {RELEASE_PERMISSION}."
    return ""


def may_halt(user: Any) -> bool:
    """True where the user may tighten."""
    return bool(user.is_active and user.has_perm(HALT_PERMISSION))


def reason_of_halt(reason: str, default: str) -> str:
    """For a person's own hand, where no halt is refused for its words: too few stand behind `default`, too many are
    cut."""
    words = reason.replace("\x00", "").strip()[: LONGEST_REASON - len(default) - 2]
    if len(words) >= SHORTEST_REASON:
        return words
    return f"{default}: {words}" if words else default


def reason_checked(reason: str) -> str:
    """The reason, stripped. Raises Invalid where it is too short to be one, or too long."""
    reason = reason.replace("\x00", "").strip()
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise Invalid(
            f"Say why, in {SHORTEST_REASON} to {LONGEST_REASON} characters.",
            code="REASON_INVALID",
            details={"field": "reason"},
        )
    return reason


def _record_refusal(user: Any, refusal: str) -> None:
    reading = gates.halt_reading()
    with audit.acting(actor=user.get_username()), audit.recording(point="halt_refused"):
        audit.record(EventType.HALT_RELEASE_REFUSED, "halt:1", old_state=reading.state.value, cause=refusal)
