"""The port for callers in the owner's process: reads go to the connection, sends pass the invariants first."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError

from autotrader.core.clock import system_now
from autotrader.core.ops.crashpoints import crashpoint
from broker import gates, types
from broker.errors import BrokerError, BrokerUnavailable, ContractNotFound, OrderError, OrderInvalid, TradingDisabled
from broker.ib.client import IbClient
from broker.ib.errors import NotSent
from broker.measured import measured
from broker.models import Submission
from broker.port import TABLE, Call, with_async_twins
from broker.service import cancelling, submissions, validate
from broker.service.comparing import reconcile_report, submission_report
from broker.service.contract_cache import ContractCache
from broker.service.flights import Flights
from broker.service.halting import Halting
from broker.service.in_flight import InFlight
from broker.service.outcomes import outcome_of, proven_unsent
from broker.service.protective import is_protective
from broker.service.reconcile import Reconciler
from broker.service.writer import Writer

logger = logging.getLogger(__name__)
READY_WAIT = 5.0
SETTLE_STEP = 0.2
LOOK_WAIT = 15.0
LOOP_LIMIT = 1.0


@with_async_twins
class LocalBroker:
    """One connection's port. `name` says who owns it, for people."""

    def __init__(
        self,
        *,
        client: IbClient,
        writer: Writer,
        reconciler: Reconciler,
        in_flight: InFlight,
        cache: ContractCache,
        state_dir: Path,
        name: str,
        halting: Halting | None,
        now: Callable[[], datetime] = system_now,
    ) -> None:
        self.client = client
        self._writer = writer
        self._reconciler = reconciler
        self._in_flight = in_flight
        self._cache = cache
        self._state_dir = state_dir
        self._name = name
        self._halting = halting
        self._now = now
        self._market_now = now()
        self._flights = Flights()

    # Reads

    def status(self) -> types.BrokerStatus:
        """Connection, account and clock; never fails here. With a set clock out of reach, its last known time."""
        state = self.client.state()
        ready, healthy = self._reconciler.ready(), self._writer.healthy
        if state.clock == "system":
            self._market_now = self._now()
        elif state.connected:
            try:
                self._market_now = self.client.market_now()
            except BrokerUnavailable as error:
                logger.info("the gateway's clock was not read: %s", error)
        waiting = state.reason or "reading the broker's book"
        if ready and not healthy:
            waiting = "what the broker says cannot be stored now"
        status = types.BrokerStatus(
            ready=ready and healthy,
            connected=state.connected,
            reason="" if ready and healthy else waiting,
            account=state.account,
            accounts=state.accounts,
            clock=state.clock,
            market_now=self._market_now,
            since=state.since,
            owner=self._name,
        )
        return self.client.described(status)

    def connection_history(
        self, query: types.HistoryQuery, timeout: float | None = None
    ) -> tuple[types.ConnectionNote, ...]:
        """What happened to the connection since this owner began; never fails here."""
        return self.client.history(query.limit)

    def contracts(self, query: types.ContractQuery, timeout: float | None = None) -> tuple[types.Contract, ...]:
        """Resolve a symbol; from the cache while that is fresh."""
        gates.refuse_in_transaction()
        cached = self._cache.find(query, self._now(), self.status().market_now)
        if cached:
            return cached
        found: tuple[types.Contract, ...] = self._flights.share(
            ("contracts", query),
            lambda limit: self.client.read("contracts", query, limit),
            _timeout("contracts", timeout),
        )
        self._cache.keep(found, query)
        return found

    def all_contracts(self, query: types.ContractQuery, timeout: float | None = None) -> tuple[types.Contract, ...]:
        """Every contract that a query means; each is known from then on."""
        found: tuple[types.Contract, ...] = self.read("all_contracts", query, timeout)
        self._cache.keep(found)
        return found

    def trading_hours(self, query: types.ConId, timeout: float | None = None) -> types.TradingHours:
        """The calendar of a contract, which is asked for anew where its known hours no longer reach."""
        self.contracts(types.ContractQuery("", con_id=query.con_id), timeout)
        hours: types.TradingHours = self.read("trading_hours", query, timeout)
        return hours

    def read(self, name: str, request: Any, timeout: float | None = None) -> Any:
        """Any other read of the table, asked of the broker."""
        gates.refuse_in_transaction()
        contracts = [self._contract(con_id) for con_id in _con_ids(request)]

        def ask(limit: float) -> Any:
            return self.client.read(name, request, limit, contracts)

        return self._flights.share((name, request), ask, _timeout(name, timeout))

    def drain(self, timeout: float = 10) -> None:
        """Wait until everything the broker has said so far is applied to our rows."""
        gates.refuse_in_transaction()
        self.client.fence(timeout)
        self._writer.drain(timeout)

    def settle(self, timeout: float) -> bool:
        """Wait until orders may leave; False where they may not after `timeout` seconds, or without a database.

        `status` says why.
        """
        deadline = time.monotonic() + timeout
        while not self._reconciler.wait_ready(min(SETTLE_STEP, timeout)):
            if self._writer.is_out or time.monotonic() >= deadline:
                return False
        return True

    def reconcile(self, timeout: float | None = None) -> types.ReconcileReport:
        """Look at the broker's whole book now and compare it. Raises BrokerUnavailable where no look was complete."""
        gates.refuse_in_transaction()
        limit = _timeout("reconcile", timeout)
        until = time.monotonic() + limit
        if not self.settle(min(limit, LOOK_WAIT)):
            raise BrokerUnavailable(f"No complete answer of the broker: {self.status().reason}")
        return reconcile_report(self._reconciler.look_now(until - time.monotonic()))

    def ping(self, timeout: float) -> None:
        """Go through the connection's loop and back; raises BrokerUnavailable where it hangs."""
        self.client.ping(timeout)

    # Sends

    def place(self, request: types.PlaceOrder, timeout: float | None = None) -> types.PlaceOutcome:
        """Send a bracket or a single order, once; a repeat of the same key answers what is on record."""
        gates.refuse_in_transaction()
        with self._telling([leg.order_ref for leg in request.legs], revision=0):
            return self._place(request)

    def _place(self, request: types.PlaceOrder) -> types.PlaceOutcome:
        contract = self._contract(request.con_id)
        self._check(
            lambda: validate.check_place(request, contract, self._now(), self.client.known_now()),
            [leg.order_ref for leg in request.legs],
            revision=0,
        )
        protective = is_protective(request)
        last_look = self._last_look(reduces=request.reduces, protective=protective)

        def frame() -> None:
            self.client.send(contract, request, last_look)

        rows = submissions.place_rows(request, self._now())
        return self._once(rows, frame, reduces=request.reduces, protective=protective)

    def modify(self, request: types.ModifyOrder, timeout: float | None = None) -> types.PlaceOutcome:
        """Change a working order, once a revision."""
        gates.refuse_in_transaction()
        with self._telling([request.order_ref], request.revision):
            return self._modify(request)

    def _modify(self, request: types.ModifyOrder) -> types.PlaceOutcome:
        placed = self._placed(request.order_ref)
        terms = submissions.terms_of(placed)
        contract = self._contract(terms["con_id"])
        self._check(
            lambda: validate.check_modify(request, contract, terms, placed.role, self._now()),
            [request.order_ref],
            request.revision,
        )
        protective = placed.role == "stop"
        last_look = self._last_look(reduces=request.reduces, protective=protective)
        rows = [submissions.modify_row(request, placed.role, self._now())]
        return self._once(
            rows,
            lambda: self._resend(request, terms["order_type"], last_look),
            reduces=request.reduces,
            protective=protective,
        )

    def _resend(self, request: types.ModifyOrder, order_type: str, last_look: Callable[[], None]) -> None:
        """Send the change; a trailing stop, which moves with the market, is asked for first: it must not fall back."""
        if order_type == "TRAIL":
            try:
                self.client.read("open_orders", types.Nothing(), _timeout("open_orders", None))
            except BrokerUnavailable as error:
                raise NotSent(f"where the stop stands now is not known: {error}", code=error.reason) from error
        self.client.modify(request, last_look)

    def preview(self, request: types.PreviewOrder, timeout: float | None = None) -> types.Preview:
        """Margins and commission of an order that is not placed; open when halted, since nothing leaves a trace."""
        gates.refuse_in_transaction()
        contract = self._contract(request.con_id)
        validate.check_preview(request, contract, self.client.known_now())
        gates.check_preview(account=request.account, status=self.status())
        answer: types.Preview = self.client.read("preview", request, _timeout("preview", timeout), [contract])
        return answer

    def cancel(self, request: types.OrderRef, timeout: float | None = None) -> types.LegOutcome:
        """Ask for the end of a working order; what becomes of it is told by evidence."""
        gates.refuse_in_transaction()
        validate.check_ref(request.order_ref)
        gates.check_cancel(account=request.account, status=self.status())
        self.client.cancel(request.order_ref, lambda: None)
        return types.LegOutcome(request.order_ref, 0, "SENT", repeated=False)

    def cancel_all(self, request: types.CancelAll, timeout: float | None = None) -> types.CancelAllOutcome:
        """Ask for the end of our client's working orders, each by its own frame; one that has ended is no error."""
        gates.refuse_in_transaction()
        gates.check_cancel(account=request.account, status=self.status())
        return cancelling.cancel_all(self.client, request, _timeout("cancel_all", timeout))

    def kill(self, request: types.Kill, timeout: float | None = None) -> types.KillReport:
        """Halt by the file, end orders and tell what the book then shows. Raises BrokerUnavailable where this hangs."""
        gates.refuse_in_transaction()
        if self._halting is None:
            raise BrokerUnavailable("This connection is a replay's own; the kill switch is the desk's.")
        self.client.ping(LOOP_LIMIT)
        return self._halting.kill(request, _timeout("kill", timeout))

    @staticmethod
    def _check(check: Callable[[], None], order_refs: Sequence[str], revision: int) -> None:
        """Check at the door; a repeat that comes late is told what is on record, since it may have been sent."""
        try:
            check()
        except OrderError as refusal:
            with _storage():
                if refusal.reason != "LATE" or not submissions.are_recorded(order_refs, revision):
                    raise

    @contextmanager
    def _telling(self, order_refs: Sequence[str], revision: int) -> Iterator[None]:
        """A refusal before the record is definite: nothing has left, and by this nothing ever will."""
        try:
            yield
        except BrokerError as refusal:
            self._reconciler.refused(order_refs, revision, f"{refusal.reason}: {refusal.message}")
            raise

    def _once(
        self, rows: Sequence[Submission], frame: Callable[[], None], *, reduces: bool, protective: bool
    ) -> types.PlaceOutcome:
        """The sender's side of the race: on record first, then the gates, then the key, then the frame."""
        with self._in_flight.sending([row.order_ref for row in rows]), _storage():
            before = submissions.recorded(rows)
            if before is not None:
                return outcome_of(before.rows, repeated=True)
            crashpoint("send_asked")
            self._check_gates(rows[0].account, reduces=reduces, protective=protective)
            crashpoint("gates_passed")
            claim = submissions.claim(rows)
            self._report(claim.rows)
            if not claim.won:
                return outcome_of(claim.rows, repeated=True)
            outcome = outcome_of(claim.rows, repeated=False, detail=self._send(claim.rows, frame))
            crashpoint("send_answered")
            return outcome

    def _check_gates(self, account: str, *, reduces: bool, protective: bool) -> None:
        state = self.client.state()
        if not self._reconciler.ready() and state.connected and state.phase != "broker_lost":
            self._reconciler.wait_ready(READY_WAIT)
        gates.check_send(reduces=reduces, account=account, status=self.status(), protective=protective)

    def _send(self, rows: Sequence[Submission], frame: Callable[[], None]) -> str:
        """Let the frame leave; the detail for the caller. What is proven not to have left becomes VOID."""
        try:
            frame()
            crashpoint("bracket_written")
        except Exception as error:
            if proven_unsent(error):
                return self._void(rows, error)
            logger.exception("the outcome of %s is not known", rows[0].order_ref)
            return f"outcome not known: {error}"
        return ""

    def _void(self, rows: Sequence[Submission], error: Exception) -> str:
        reason = getattr(error, "reason", type(error).__name__)
        detail = f"{reason}: {error}"
        try:
            submissions.mark_void(rows, detail)
        except DatabaseError:
            logger.exception("%s was not sent, but stays SENT on record; reconcile will prove it", rows[0].order_ref)
            return f"not sent, but the record could not be changed: {detail}"
        for row in rows:
            row.state, row.detail = Submission.State.VOID, detail
        self._report(rows)
        return detail

    def _report(self, rows: Sequence[Submission]) -> None:
        for row in rows:
            self._writer.put(submission_report(row, self.client.known_now()))

    def _last_look(self, *, reduces: bool, protective: bool) -> Callable[[], None]:
        return lambda: gates.halt_file_gate(self._state_dir, reduces=reduces, protective=protective)

    def _placed(self, order_ref: str) -> Submission:
        with _storage():
            placed = submissions.of_orders([order_ref]).get(order_ref)
        if placed is None or placed.state == Submission.State.VOID:
            raise OrderInvalid(f"{order_ref} was never sent from here.", details={"field": "order_ref"})
        return placed

    def _contract(self, con_id: int) -> types.Contract:
        contract = self._cache.get(con_id)
        if contract is None:
            raise ContractNotFound(f"Contract {con_id} is not known here; resolve its symbol with contracts() first.")
        return contract


def _con_ids(request: Any) -> tuple[int, ...]:
    """The contracts that a request names; a query for contracts names none that must be known."""
    if isinstance(request, types.ContractQuery):
        return ()
    con_id = getattr(request, "con_id", None)
    return getattr(request, "con_ids", ()) if con_id is None else (con_id,)


class _storage:
    """A database that does not answer shuts the door: nothing is sent without a record."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DatabaseError):
            raise TradingDisabled("The database does not answer; nothing was sent.", code="STORAGE") from error


def _timeout(name: str, given: float | None) -> float:
    return TABLE[name].timeout if given is None else given


def _method(call: Call) -> Any:
    if call.request is types.Nothing:

        def method(self: LocalBroker, timeout: float | None = None) -> Any:
            return self.read(call.name, types.Nothing(), timeout)
    else:

        def method(self: LocalBroker, request: Any, timeout: float | None = None) -> Any:  # type: ignore[misc]
            return self.read(call.name, request, timeout)

    method.__name__ = call.name
    method.__doc__ = call.doc
    return method


for _row in TABLE.values():
    if _row.kind == "read" and not hasattr(LocalBroker, _row.name):
        setattr(LocalBroker, _row.name, _method(_row))
    setattr(LocalBroker, _row.name, measured(_row.name, getattr(LocalBroker, _row.name)))
