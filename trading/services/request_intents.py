"""What a request to place comes to: the account, strategy and contract it names, and the intent beside the market."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from autotrader.core import audit
from autotrader.core.errors import AutoTraderError, Invalid
from autotrader.core.money import to_lot, to_tick
from autotrader.core.users.limits import UNLIMITED, Limits
from broker import types
from broker.errors import ContractNotFound
from broker.port import Broker
from trading.models import Account, Instrument, OrderRequest, Strategy
from trading.models.decision import Purpose
from trading.models.strategy import Mode
from trading.selectors.limits import limits_of
from trading.selectors.positions import position_quantity
from trading.services.accounts import account_ensure
from trading.services.approved_intents import configuration
from trading.services.instruments import instrument_resolved
from trading.services.intents import Intent
from trading.services.proposals import Cause, Terms, look, propose
from trading.services.request_bodies import PlaceBody, place_body
from trading.services.request_refusals import RequestMoved, Shut

GRID = ("limit_price", "stop_price", "target_price")


class Unknown(AutoTraderError):
    """What the request names is not known here; the message says what is."""

    code = "UNKNOWN"
    status = 422


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose order it is, and of what; the contract as the broker describes it."""

    account: Account
    strategy: Strategy | None
    instrument: Instrument
    contract: types.Contract


def place_subject(body: PlaceBody, broker: Broker, limits: Limits = UNLIMITED) -> Subject:
    """Find what the body names. Raises KeyLimited, Unknown or Invalid naming the field, and BrokerUnavailable."""
    status = broker.status()
    _check_limits(body, status.account, limits)
    account = _account(body, status)
    strategy = _strategy(body)
    instrument = _instrument(body)
    contract = resolve(instrument, broker)
    # What is left of a position need not be whole lots; an entry is.
    names = (*GRID, "quantity") if body.purpose == Purpose.ENTRY else GRID
    check_grid({name: getattr(body, name) for name in names}, contract)
    return Subject(account, strategy, instrument, contract)


def _check_limits(body: PlaceBody, traded: str, limits: Limits) -> None:
    """Before anything is told of what the body names: a limited key learns nothing of what is not its own."""
    if not (limits.is_limited and traded):
        return  # a connection without an account is told of next, and trades nothing
    named = Strategy.objects.filter(name=body.strategy).first() if body.strategy is not None else None
    for account in {body.account or traded, traded}:
        limits.check(account=account, strategy=named.pk if named else None)


def _account(body: PlaceBody, status: types.BrokerStatus) -> Account:
    if body.account and body.account != status.account:
        trades = status.account or "none yet"
        raise unknown("account", f"{body.account} is no account that this desk trades; the connection's is {trades}")
    return account_ensure(status.account)


def _strategy(body: PlaceBody) -> Strategy | None:
    if body.strategy is None:
        return None
    found = Strategy.objects.select_related("risk_profile").filter(name=body.strategy).first()
    if found is None:
        names = ", ".join(Strategy.objects.values_list("name", flat=True)[:10]) or "none"
        raise unknown("strategy", f"{body.strategy} is not known; there are {names}")
    if found.mode == Mode.SHADOW:
        raise unknown("strategy", f"{found} trades a shadow ledger only; name another or none", code="SHADOW_STRATEGY")
    if not found.enabled and body.purpose == Purpose.ENTRY:
        problem = f"{found} is not enabled; it may only close what it holds"
        details = {"field": "strategy", "fields": {"strategy": problem}}
        raise Shut(f"strategy: {problem}.", code="STRATEGY_DISABLED", details=details)
    return found


def _instrument(body: PlaceBody) -> Instrument:
    """The one contract that people have set up under this symbol or id."""
    set_up = Instrument.objects.exclude(sec_type="")
    found = list(set_up.filter(con_id=body.con_id) if body.con_id else set_up.filter(symbol=body.symbol))
    field = "con_id" if body.con_id else "symbol"
    named = body.con_id or body.symbol
    if not found:
        raise unknown(field, f"{named} is not known here; add it under Instruments first", code="UNKNOWN_CONTRACT")
    if len(found) > 1:
        ids = ", ".join(str(row.con_id or row.exchange) for row in found)
        raise unknown(field, f"{named} is the symbol of several contracts ({ids}); name the con_id", code="AMBIGUOUS")
    return found[0]


def resolve(instrument: Instrument, broker: Broker) -> types.Contract:
    """The contract behind the row, whose id and rules are kept. Raises Unknown where the broker knows none."""
    query = types.ContractQuery(instrument.symbol, instrument.sec_type, instrument.exchange, instrument.currency)
    try:
        contract = broker.contracts(query)[0]
    except ContractNotFound as error:
        raise unknown("symbol", f"{instrument} is no contract of the broker's: {error.message}") from error
    if instrument.con_id not in (None, contract.con_id):
        raise unknown("symbol", f"{instrument} is contract {contract.con_id} now, it was {instrument.con_id} before")
    with audit.recording():
        instrument_resolved(instrument, contract)
    return contract


def unknown(field: str, problem: str, *, code: str = "") -> Unknown:
    """The error that names a field whose content is not known."""
    reason = code or f"UNKNOWN_{field.upper()}"
    return Unknown(f"{field}: {problem}.", code=reason, details={"field": field, "fields": {field: problem}})


def check_grid(values: dict[str, Decimal | None], contract: types.Contract) -> None:
    """Raise Invalid for a price off its tick or a quantity off its lot, with the nearest that fit."""
    problems: dict[str, str] = {}
    for name, value in values.items():
        step = contract.lot_size if name == "quantity" else increment(contract, value)
        if value is None or step <= 0 or value % step == 0:
            continue
        below = to_lot(value, step) if name == "quantity" else to_tick(value, step, up=False)
        what = "whole lots" if name == "quantity" else "ticks"
        problems[name] = f"{value.normalize():f} is not in {what} of {step.normalize():f}: say {_either(below, step)}"
    if problems:
        first, problem = next(iter(problems.items()))
        code = "OFF_LOT" if first == "quantity" else "OFF_TICK"
        raise Invalid(f"{first}: {problem}.", code=code, details={"field": first, "fields": problems})


def _either(below: Decimal, step: Decimal) -> str:
    above = f"{(below + step).normalize():f}"
    return f"{below.normalize():f} or {above}" if below > 0 else above


def increment(contract: types.Contract, price: Decimal | None) -> Decimal:
    """The price step of the band that a price lies in."""
    below = [band for band in contract.increments if price is not None and band.low_edge <= price]
    return max(below, key=lambda band: band.low_edge).increment if below else contract.min_tick


def request_intent(request: OrderRequest, broker: Broker, limits: Limits = UNLIMITED) -> Intent:
    """The order that a request to place comes to at this moment, beside a fresh quote; no transaction may be open.

    Raises KeyLimited, Invalid, Unknown and BrokerUnavailable, and RequestMoved where its names mean something else
    than when it was judged first.
    """
    intent = place_intent(
        place_body(request.body), broker, request, limits=limits, must_be_approved=request.must_be_approved
    )
    if request.account_id is not None:
        strategy = intent.strategy.pk if intent.strategy else None
        if (request.account_id, request.strategy_id) != (intent.account.pk, strategy):
            raise RequestMoved(f"It was judged for {request.account_id}; the desk trades {intent.account.pk} now.")
    return intent


def place_intent(
    body: PlaceBody,
    broker: Broker,
    request: OrderRequest | None = None,
    *,
    limits: Limits = UNLIMITED,
    must_be_approved: bool = False,
) -> Intent:
    """As `request_intent`, of a body that was read; without a request it can only be looked at.

    An exit at the market becomes a limit at the collar: it may then move the target that stands already.
    """
    subject = place_subject(body, broker, limits)
    market = look(broker, subject.contract.con_id)
    terms = _terms(body)
    cause = _cause(body, subject, (request.market_at if request else None) or market.now)
    proposal, _ = propose(replace(cause, must_be_approved=must_be_approved), terms, market)
    return Intent(
        account=subject.account,
        instrument=subject.instrument,
        strategy=subject.strategy,
        decision=None,
        request=request,
        purpose=body.purpose,
        side=body.side,
        order_type=terms.order_type,
        quantity=body.quantity,
        limit_price=proposal.limit_price,
        stop_price=body.stop_price,
        target_price=body.target_price,
        tif="DAY",
        expires_at=day_ends(subject.contract, market.now),
        market_now=market.now,
        configuration=configuration(proposal) | {"request": request.pk if request else None},
        proposal=proposal,
    )


def _cause(body: PlaceBody, subject: Subject, decided_at: datetime) -> Cause:
    return Cause(
        account=subject.account,
        strategy=subject.strategy,
        instrument=subject.instrument,
        limits=limits_of(subject.strategy),
        source="request",
        decided_at=decided_at,
        position=position_quantity(subject.account, subject.strategy, subject.instrument),
        intended=body.intended,
    )


def _terms(body: PlaceBody) -> Terms:
    at_market = body.order_type == "MKT" and body.purpose == Purpose.EXIT
    return Terms(
        purpose=body.purpose,
        side=body.side,
        quantity=body.quantity,
        limit_price=body.limit_price,
        stop_price=body.stop_price,
        target_price=body.target_price,
        order_type="LMT" if at_market else body.order_type,
    )


def day_ends(contract: types.Contract, market_now: datetime) -> datetime | None:
    """The close at which a DAY order sent now would end."""
    closes = [hours.close for hours in contract.liquid_hours if hours.close > market_now]
    return min(closes, default=None)
