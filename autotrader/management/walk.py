"""The guided walk of `manage.py demo`: each step acts as a user would, and is compared with the exchange's ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from autotrader.core import audit
from autotrader.core.audit.models import Event
from autotrader.core.audit.verify import verify_chain
from autotrader.core.errors import AutoTraderError
from broker import types
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from trading.models import Fill, Instrument, Order, Trade
from trading.selectors.requests import RequestOutcome
from trading.services.previews import order_preview
from trading.services.requests import Caller, cancel_request, order_request

SYMBOL, RESTING_SYMBOL = "SPY", "IBM"
QUANTITY = Decimal(10)
FILL_LIMIT_S = 20.0
LOOK_EVERY_S = 0.05
ACTOR = "demo"
OVER = ("Filled", "Cancelled", "ApiCancelled", "Inactive")
SHOWN_EVENTS = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: what we say against what the exchange's ledger says."""

    what: str
    ours: str
    theirs: str

    @property
    def holds(self) -> bool:
        return self.ours == self.theirs


@dataclass(slots=True)
class Step:
    """One step as it went: `lines` for people, `checks` against the ledger, `problem` where it could not be done."""

    name: str
    about: str
    lines: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    problem: str = ""

    @property
    def ok(self) -> bool:
        """True where it was done and every comparison holds."""
        return not self.problem and all(check.holds for check in self.checks)

    def same(self, what: str, ours: object, theirs: object) -> None:
        """Compare; numbers by value, whatever their zeros."""
        self.checks.append(Check(what, _plain(ours), _plain(theirs)))

    def holds(self, what: str, is_so: bool) -> None:
        """Note whether it is so."""
        self.checks.append(Check(what, "yes" if is_so else "no", "yes"))


class Walk:
    """The steps in their order; a step that fails ends the walk."""

    def __init__(self, gateway: EmbeddedGateway, broker: Broker, key: str) -> None:
        """`key` makes this walk's requests its own."""
        self._gateway = gateway
        self._broker = broker
        self._key = key
        self._cash = Decimal(0)
        self._outcome: RequestOutcome | None = None
        for symbol in (SYMBOL, RESTING_SYMBOL):
            Instrument.objects.get_or_create(symbol=symbol)

    def steps(self) -> Iterator[Step]:
        """Do one step after the other; each is given once it is done."""
        plan: tuple[tuple[str, str, Callable[[Step], None]], ...] = (
            ("Account", "An empty paper account at a gateway that speaks the wire protocol of TWS.", self._account),
            ("Quote", f"The top of the book of {SYMBOL}, asked of the broker at this moment.", self._quote),
            ("Preview", "Every control's word and the broker's own margin. Nothing is placed.", self._preview),
            ("Order", "An entry with its stop and target. It leaves as one bracket.", self._order),
            ("Fill", "The entry fills; the execution is booked once, and the stop covers the position.", self._fill),
            ("Cancel", f"A bid for {RESTING_SYMBOL} below the market rests, and is taken back.", self._cancel),
            ("Exit", "The position is closed through its target; the stop ends with it.", self._exit),
            ("Audit", "All of it stands in a log whose every row holds the one before.", self._audit),
        )
        for name, about, do in plan:
            step = Step(name, about)
            try:
                with audit.acting(actor=ACTOR):
                    do(step)
            except AutoTraderError as error:
                step.problem = f"{error.reason}: {error.message}"
            yield step
            if not step.ok:
                return

    def _account(self, step: Step) -> None:
        summary, truth = self._broker.account(), self._gateway.truth()
        self._cash = Decimal(truth["cash"]["USD"])
        step.lines.append(f"account {summary.account}, net liquidation {summary.net_liquidation}")
        step.same("account", summary.account, truth["account"])
        step.same("cash", summary.cash, truth["cash"]["USD"])
        step.same("positions", len(self._broker.positions()), len(truth["positions"]))

    def _quote(self, step: Step) -> None:
        quote, con_id = self._market(SYMBOL)
        step.lines.append(f"bid {quote.bid}  ask {quote.ask}  last {quote.last}  feed {quote.feed}")
        step.same("contract", con_id, self._broker.contracts(types.ContractQuery(SYMBOL))[0].con_id)
        step.holds("the bid is below the ask", bool(quote.bid and quote.ask and quote.bid < quote.ask))

    def _preview(self, step: Step) -> None:
        before = len(self._gateway.truth()["orders"])
        preview = order_preview(self._entry(SYMBOL, Decimal("1.002")), self._broker)
        refused = [f"{verdict.rule}: {verdict.message}" for verdict in preview.verdicts if not verdict.allowed]
        step.lines.append(f"{len(preview.verdicts)} controls, {len(refused)} refuse")
        step.lines += refused
        step.lines += [f"{name.replace('_', ' ')}: {value}" for name, value in preview.what_if.items() if value]
        step.holds("every control allows it", preview.allowed)
        step.same("orders at the exchange", len(self._gateway.truth()["orders"]), before)

    def _order(self, step: Step) -> None:
        self._outcome = self._place("entry", self._entry(SYMBOL, Decimal("1.002")))
        _told(step, self._outcome)
        for line in self._outcome.orders:
            theirs = self._by_ref(line.order_ref)
            price = line.limit_price or line.stop_price
            step.lines.append(f"{line.order_ref}  {line.role:<6} {line.side:<4} {line.quantity} at {price}")
            step.same(f"{line.role} once at the exchange", 1, len(theirs))
            for row in theirs:
                step.same(f"{line.role} quantity", line.quantity, row["quantity"])
                step.same(f"{line.role} price", price, row["limit_price"] or row["aux_price"])

    def _fill(self, step: Step) -> None:
        self._await(lambda: self._order_of("entry").state == "FILLED")
        entry, truth = self._order_of("entry"), self._gateway.truth()
        ours = {fill.exec_id: fill for fill in Fill.objects.filter(order=entry, superseded=False)}
        theirs = {name: row for name, row in truth["executions"].items() if row["order_ref"] == entry.order_ref}
        step.lines.append(f"{entry.filled_quantity.normalize():f} at {entry.average_price}")
        step.same("executions", sorted(ours), sorted(theirs))
        for exec_id, row in theirs.items():
            step.same("price", ours[exec_id].price, row["price"])
            step.same("commission", ours[exec_id].commission, row["commission"])
        held = {row.con_id: row.quantity for row in self._broker.positions()}
        step.same("position", _totals(held), _totals(_held(truth)))
        stop = self._by_ref(self._order_of("stop").order_ref)
        step.same("stop covers it", QUANTITY, sum(Decimal(row["remaining"]) for row in stop))

    def _cancel(self, step: Step) -> None:
        outcome = self._place("resting", self._entry(RESTING_SYMBOL, Decimal("0.98")))
        _told(step, outcome)
        ref = outcome.orders[0].order_ref if outcome.orders else ""
        caller = Caller(client=ACTOR, actor=ACTOR)
        cancelled = cancel_request(
            caller=caller, key=f"{self._key}-cancel", body={"order_ref": ref}, broker=self._broker
        )
        _told(step, cancelled)
        self._await(lambda: Order.objects.get(order_ref=ref).state == "CANCELLED")
        refs = [line.order_ref for line in outcome.orders]
        step.lines.append(f"{ref} {Order.objects.get(order_ref=ref).state}")
        working = [row for ref in refs for row in self._by_ref(ref) if row["status"] not in OVER]
        step.same("of it at work at the exchange", 0, len(working))
        step.same("of it filled", 0, sum(Decimal(row["filled"]) for ref in refs for row in self._by_ref(ref)))

    def _exit(self, step: Step) -> None:
        body = {"symbol": SYMBOL, "side": "SELL", "quantity": str(QUANTITY), "order_type": "MKT", "purpose": "exit"}
        _told(step, self._place("exit", body))
        self._await(lambda: Trade.objects.filter(account=self._gateway.account, state="CLOSED").exists())
        self._await(lambda: all(row["status"] in OVER for row in self._gateway.truth()["orders"].values()))
        trade, truth = Trade.objects.get(account=self._gateway.account), self._gateway.truth()
        step.lines.append(f"in at {trade.entry_price}, out at {trade.exit_price}, profit and loss {trade.pnl}")
        step.same("held", {}, _totals(_held(truth)))
        gained = Decimal(truth["cash"]["USD"]) - self._cash
        step.same("profit and loss is the change in cash", trade.pnl, gained.quantize(Decimal("0.0001")))

    def _audit(self, step: Step) -> None:
        assert self._outcome is not None
        verdict = verify_chain()
        rows = Event.objects.filter(correlation_id=self._outcome.correlation_id).order_by("seq")[:SHOWN_EVENTS]
        step.lines.append(f"correlation id {self._outcome.correlation_id}")
        step.lines += [f"{row.seq:>6}  {row.type:<24} {row.subject}" for row in rows]
        step.holds("the chain is whole", verdict.ok)
        step.holds("the fill stands in it", any(row.type == "ORDER_FILLED" for row in rows))

    def _market(self, symbol: str) -> tuple[types.Quote, int]:
        contract = self._broker.contracts(types.ContractQuery(symbol))[0]
        return self._broker.quote(types.ConId(contract.con_id)), contract.con_id

    def _entry(self, symbol: str, part: Decimal) -> dict[str, Any]:
        """A buy at this part of the ask, with a stop 5 % below and a target 12 % above it."""
        quote, _ = self._market(symbol)
        price = quote.ask or quote.last
        if price is None:
            raise AutoTraderError(f"There is no price of {symbol} now.", code="NO_PRICE")
        prices = {"limit_price": part, "stop_price": Decimal("0.95"), "target_price": Decimal("1.12")}
        told = {name: str((price * factor).quantize(Decimal("0.01"))) for name, factor in prices.items()}
        return {
            "symbol": symbol,
            "side": "BUY",
            "quantity": str(QUANTITY),
            "order_type": "LMT",
            "purpose": "entry",
            "reason": "the guided walk",
            **told,
        }

    def _place(self, name: str, body: dict[str, Any]) -> RequestOutcome:
        key = f"{self._key}-{name}"
        return order_request(client=ACTOR, key=key, body=body, actor=ACTOR, broker=self._broker)

    def _order_of(self, role: str) -> Order:
        assert self._outcome is not None
        return Order.objects.get(request=self._outcome.request, role=role)

    def _by_ref(self, order_ref: str) -> list[dict[str, Any]]:
        return [row for row in self._gateway.truth()["orders"].values() if row["order_ref"] == order_ref]

    def _await(self, done: Callable[[], bool]) -> None:
        """Wait for what the broker tells. Raises AutoTraderError where it does not come."""
        until = time.monotonic() + FILL_LIMIT_S
        while not done():
            if time.monotonic() > until:
                raise AutoTraderError(f"It did not come within {FILL_LIMIT_S:g} s.", code="TOO_LATE")
            time.sleep(LOOK_EVERY_S)
        self._broker.drain()


def _told(step: Step, outcome: RequestOutcome) -> None:
    """A refusal is the end of the walk, with the control's own words."""
    if outcome.status:
        raise AutoTraderError(outcome.message, code=outcome.code)
    step.lines.append(f"request {outcome.request}: {outcome.state}")


def _held(truth: dict[str, Any]) -> dict[int, Decimal]:
    return {int(con_id): Decimal(row["quantity"]) for con_id, row in truth["positions"].items()}


def _totals(held: dict[int, Decimal]) -> dict[int, str]:
    return {con_id: _plain(quantity) for con_id, quantity in held.items() if quantity}


def _plain(value: object) -> str:
    try:
        number = Decimal(value) if isinstance(value, (str, Decimal)) else None
    except ArithmeticError:
        number = None
    return str(value) if number is None else f"{number.normalize():f}"
