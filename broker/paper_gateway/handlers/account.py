"""Account values, portfolio, positions and results: on request, and again whenever they change."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from zoneinfo import ZoneInfo

from broker.paper_gateway import profit
from broker.paper_gateway.desk import Desk, Request
from broker.paper_gateway.session import Session
from broker.paper_gateway.types import AccountValue, GatewayError, PositionView
from broker.paper_gateway.wire import answers
from broker.paper_gateway.wire.fields import FieldReader

MAX_SUMMARIES = 2
ACCOUNT_ZONE = ZoneInfo("US/Eastern")
LEDGER_KEYS = frozenset(
    {
        *("AccruedCash", "CashBalance", "Currency", "ExchangeRate", "FutureOptionValue", "FuturesPNL", "NetDividend"),
        *("NetLiquidationByCurrency", "OptionMarketValue", "RealizedPnL", "StockMarketValue", "TotalCashBalance"),
        "UnrealizedPnL",
    }
)
ZERO = Decimal(0)


def require_account(request: Request, account: str, *, or_all: bool = False) -> None:
    """Raise GatewayError 321 for an account that is not this gateway's; empty means the only one there is."""
    if account not in {"", request.exchange.account} and not (or_all and account == "All"):
        raise GatewayError(321, f"Error validating request.-'bA' : cause - Invalid account code '{account[:40]}'.")


def account_updates(request: Request, reader: FieldReader) -> None:
    """reqAccountUpdates: values, portfolio and time now, and again on each change until unsubscribed."""
    subscribe, account = reader.flag(), reader.text()
    require_account(request, account)
    request.session.subscriptions.account_updates = subscribe
    if subscribe:
        _send_values(request.desk, request.session)
        _send_portfolio(request.desk, request.session, ())
        _send_time(request.desk, request.session)
        request.session.send(answers.account_download_end(request.exchange.account))


def positions(request: Request, reader: FieldReader) -> None:
    """reqPositions: all holdings now, and again on each change until cancelled."""
    request.session.subscriptions.positions = True
    _send_positions(request.desk, request.session, ())
    request.session.send(answers.positions_end())


def cancel_positions(request: Request, reader: FieldReader) -> None:
    """cancelPositions."""
    request.session.subscriptions.positions = False


def positions_multi(request: Request, reader: FieldReader) -> None:
    """reqPositionsMulti: as reqPositions, for one account."""
    require_account(request, reader.text(), or_all=True)
    request.session.subscriptions.positions_multi.add(request.id)
    _send_positions_multi(request.desk, request.session, request.id, ())
    request.session.send(answers.position_multi_end(request.id))


def cancel_positions_multi(request: Request, reader: FieldReader) -> None:
    """cancelPositionsMulti."""
    request.session.subscriptions.positions_multi.discard(request.id)


def account_updates_multi(request: Request, reader: FieldReader) -> None:
    """reqAccountUpdatesMulti: all values now, and again on each change until cancelled."""
    require_account(request, reader.text(), or_all=True)
    request.session.subscriptions.account_updates_multi.add(request.id)
    _send_values_multi(request.desk, request.session, request.id)
    request.session.send(answers.account_update_multi_end(request.id))


def cancel_account_updates_multi(request: Request, reader: FieldReader) -> None:
    """cancelAccountUpdatesMulti."""
    request.session.subscriptions.account_updates_multi.discard(request.id)


def account_summary(request: Request, reader: FieldReader) -> None:
    """reqAccountSummary: the named values now and on each change; error 322 for a third one alive."""
    group, tags = reader.text(), reader.text()
    summaries = request.session.subscriptions.summaries
    if request.id not in summaries and len(summaries) >= MAX_SUMMARIES:
        raise GatewayError(
            322,
            "Error processing request.-'bS' : cause - Maximum number of account summary requests exceeded",
        )
    require_account(request, group, or_all=True)
    summaries[request.id] = frozenset(tag.strip() for tag in tags.split(",") if tag.strip())
    _send_summary(request.desk, request.session, request.id)
    request.session.send(answers.account_summary_end(request.id))


def cancel_account_summary(request: Request, reader: FieldReader) -> None:
    """cancelAccountSummary: frees one of the two places."""
    request.session.subscriptions.summaries.pop(request.id, None)


def profit_and_loss(request: Request, reader: FieldReader) -> None:
    """reqPnL: the account's daily, unrealized and realized result, now and as it changes."""
    require_account(request, reader.text())
    request.session.subscriptions.profit.add(request.id)
    _send_profit(request.desk, request.session, request.id)


def cancel_profit_and_loss(request: Request, reader: FieldReader) -> None:
    """cancelPnL."""
    request.session.subscriptions.profit.discard(request.id)


def profit_and_loss_single(request: Request, reader: FieldReader) -> None:
    """reqPnLSingle: the result of one holding, now and as it changes."""
    require_account(request, reader.text())
    reader.skip()
    con_id = reader.integer()
    request.desk.contracts.by_id(con_id)
    request.session.subscriptions.profit_single[request.id] = con_id
    _send_profit_single(request.desk, request.session, request.id, con_id)


def cancel_profit_and_loss_single(request: Request, reader: FieldReader) -> None:
    """cancelPnLSingle."""
    request.session.subscriptions.profit_single.pop(request.id, None)


def push_account(desk: Desk, session: Session, con_ids: Iterable[int]) -> None:
    """Put all that this client subscribed of the account in line; `con_ids` may have been sold out and are then 0."""
    subscriptions = session.subscriptions
    changed = tuple(con_ids)
    if subscriptions.account_updates:
        _send_values(desk, session)
        _send_portfolio(desk, session, changed)
    if subscriptions.positions:
        _send_positions(desk, session, changed)
    for request_id in subscriptions.positions_multi:
        _send_positions_multi(desk, session, request_id, changed)
    for request_id in subscriptions.account_updates_multi:
        _send_values_multi(desk, session, request_id)
    for request_id in subscriptions.summaries:
        _send_summary(desk, session, request_id)
    push_profit(desk, session)
    if subscriptions.account_updates:
        _send_time(desk, session)


def push_profit(desk: Desk, session: Session) -> None:
    """Put the results this client subscribed in line."""
    for request_id in session.subscriptions.profit:
        _send_profit(desk, session, request_id)
    for request_id, con_id in session.subscriptions.profit_single.items():
        _send_profit_single(desk, session, request_id, con_id)


def _holdings(desk: Desk, changed: tuple[int, ...]) -> list[PositionView]:
    """All positions, and an empty one for each contract that changed and is no longer held."""
    held = list(desk.exchange.positions())
    gone = set(changed) - {view.con_id for view in held}
    account = desk.exchange.account
    return held + [
        PositionView(account, con_id, desk.contracts.by_id(con_id).symbol, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
        for con_id in sorted(gone)
    ]


def _send_values(desk: Desk, session: Session) -> None:
    account = desk.exchange.account
    session.send(*[answers.account_value(value, account) for value in desk.exchange.account_values()])


def _send_portfolio(desk: Desk, session: Session, changed: tuple[int, ...]) -> None:
    for view in _holdings(desk, changed):
        session.send(answers.portfolio(session.version, view, desk.contracts.by_id(view.con_id)))


def _send_time(desk: Desk, session: Session) -> None:
    session.send(answers.account_time(f"{desk.exchange.now().astimezone(ACCOUNT_ZONE):%H:%M}"))


def _send_positions(desk: Desk, session: Session, changed: tuple[int, ...]) -> None:
    for view in _holdings(desk, changed):
        session.send(answers.position(session.version, view, desk.contracts.by_id(view.con_id)))


def _send_positions_multi(desk: Desk, session: Session, request_id: int, changed: tuple[int, ...]) -> None:
    for view in _holdings(desk, changed):
        spec = desk.contracts.by_id(view.con_id)
        session.send(answers.position_multi(session.version, request_id, view, spec))


def _send_values_multi(desk: Desk, session: Session, request_id: int) -> None:
    account = desk.exchange.account
    for value in desk.exchange.account_values():
        session.send(answers.account_update_multi(request_id, account, value))


def _send_summary(desk: Desk, session: Session, request_id: int) -> None:
    tags = session.subscriptions.summaries[request_id]
    for value in desk.exchange.account_values():
        if _is_wanted(value, tags):
            session.send(answers.account_summary(request_id, desk.exchange.account, value))


def _is_wanted(value: AccountValue, tags: frozenset[str]) -> bool:
    if value.key in LEDGER_KEYS:
        return value.key in tags or any(_is_of_ledger(value.currency, tag) for tag in tags)
    return value.key in tags


def _is_of_ledger(currency: str, tag: str) -> bool:
    """`$LEDGER` asks for the sum in base currency, `$LEDGER:ALL` for every currency, `$LEDGER:EUR` for one."""
    name, _, wanted = tag.partition(":")
    return name == "$LEDGER" and (wanted == "ALL" or currency == (wanted or "BASE"))


def _send_profit(desk: Desk, session: Session, request_id: int) -> None:
    total = profit.of_account(desk.exchange)
    session.send(answers.profit(request_id, total.daily, total.unrealized, total.realized))


def _send_profit_single(desk: Desk, session: Session, request_id: int, con_id: int) -> None:
    one = profit.of_contract(desk.exchange, con_id)
    session.send(
        answers.profit_single(
            session.version, request_id, one.quantity, one.daily, one.unrealized, one.realized, one.value
        )
    )
