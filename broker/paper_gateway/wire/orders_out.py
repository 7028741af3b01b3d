"""Orders, executions and commissions as clients read them: messages 3, 5, 11, 59 and 101."""

from __future__ import annotations

from decimal import Decimal

from broker.paper_gateway.types import Commission, Execution, OrderTerms, OrderView, Preview, SymbolSpec
from broker.paper_gateway.wire import versions
from broker.paper_gateway.wire.contracts import SMART, contract_block
from broker.paper_gateway.wire.fields import (
    UNSET_DOUBLE,
    UNSET_INTEGER,
    UNSET_LONG,
    Value,
    message,
    price,
    row,
    size,
    unset_or,
)
from broker.paper_gateway.wire.times import stamp

_UNKNOWN_MARGINS: list[Value] = [UNSET_DOUBLE] * 9
_NO_COMMISSION: list[Value] = [""] * 4


def _extra(terms: OrderTerms, *names: str) -> list[Value]:
    """What the client sent in these fields, to be echoed."""
    return [terms.extra.get(name, "") for name in names]


def _or(terms: OrderTerms, name: str, default: str) -> str:
    return terms.extra.get(name, "") or default


def _contract(terms: OrderTerms, spec: SymbolSpec) -> list[Value]:
    return contract_block(spec, _or(terms, "exchange", SMART), right="?")


def _basics(terms: OrderTerms, version: int, quantity: Decimal) -> list[Value]:
    """From action to orderRef, which openOrder and completedOrder share."""
    return [
        terms.action,
        size(quantity, version),
        terms.order_type,
        price(terms.limit_price),
        price(terms.aux_price),
        terms.tif,
        terms.oca_group,
        terms.account,
        "",
        0,
        terms.order_ref,
    ]


def _advisor(terms: OrderTerms) -> list[Value]:
    """From faGroup to exemptCode, which openOrder and completedOrder share."""
    fields = _extra(terms, "fa_group", "fa_method", "fa_percentage", "fa_profile", "model_code", "good_till_date")
    fields += _extra(terms, "rule_80a", "percent_offset", "settling_firm")
    fields += [_or(terms, "short_sale_slot", "0"), terms.extra.get("designated_location", "")]
    return [*fields, _or(terms, "exempt_code", "-1")]


def _trailing(terms: OrderTerms) -> list[Value]:
    """Stop and percent of a trailing order, empty where there is none."""
    return [terms.trail_stop_price, terms.trail_percent]


def _limit_offset(terms: OrderTerms) -> str:
    return unset_or(terms.limit_offset)


def _reference_prices(terms: OrderTerms) -> list[Value]:
    return _extra(terms, "starting_price", "stock_ref_price", "delta", "stock_range_lower", "stock_range_upper")


def _peg_best(version: int) -> list[Value]:
    return [""] * 5 if version >= versions.PEG_BEST_FIELDS else []


def order_status(version: int, view: OrderView) -> bytes:
    """Message 3: how far an order is."""
    return message(
        3,
        view.terms.order_id,
        view.status,
        size(view.filled, version),
        size(view.remaining, version),
        price(view.avg_fill_price),
        view.perm_id,
        view.terms.parent_id,
        price(view.last_fill_price),
        view.terms.client_id,
        view.why_held,
        price(None),
    )


def open_order(version: int, view: OrderView, spec: SymbolSpec) -> bytes:
    """Message 5: an order as it stands, with unknown margins."""
    state: list[Value] = [False, view.status, *_UNKNOWN_MARGINS, *_NO_COMMISSION, ""]
    return _open_order(version, view.terms, view.perm_id, spec, state)


def preview_order(version: int, terms: OrderTerms, spec: SymbolSpec, preview: Preview, currency: str) -> bytes:
    """Message 5 in answer to a what-if order: margins before, change and after, and the commission."""
    rows = (preview.init_margin, preview.maint_margin, preview.equity_with_loan)
    margins: list[Value] = [price(row[moment]) for moment in range(3) for row in rows]
    commission = price(preview.commission)
    state: list[Value] = [True, "PreSubmitted", *margins, commission, commission, commission, currency, ""]
    return _open_order(version, terms, 0, spec, state)


def _open_order(version: int, terms: OrderTerms, perm_id: int, spec: SymbolSpec, state: list[Value]) -> bytes:
    return message(
        5,
        terms.order_id,
        *_contract(terms, spec),
        *_basics(terms, version, terms.quantity),
        terms.client_id,
        perm_id,
        terms.outside_rth,
        _or(terms, "hidden", "0"),
        price(None),
        terms.extra.get("good_after_time", ""),
        f"{perm_id}.0/{terms.account}/100",
        *_advisor(terms),
        0,
        *_reference_prices(terms),
        *row(
            _or(terms, "display_size", UNSET_INTEGER), _or(terms, "block_order", "0"), _or(terms, "sweep_to_fill", "0")
        ),
        *row(0, "", terms.oca_type, 0, 0, "", terms.parent_id, _or(terms, "trigger_method", "0")),
        *row("", 0, "None", "", 0, "", "", "", "?", 0, 0, ""),
        *row(0, 0, *_trailing(terms), "", "", "", 0, 0, 0),
        *row(UNSET_INTEGER, UNSET_INTEGER, "", ""),
        *row(_or(terms, "opt_out_smart_routing", "0"), terms.extra.get("clearing_account", "")),
        *row(_or(terms, "clearing_intent", "IB"), _or(terms, "not_held", "0"), 0, "", _or(terms, "solicited", "0")),
        *state,
        *row(_or(terms, "randomize_size", "0"), _or(terms, "randomize_price", "0"), 0),
        *_adjustments(terms),
        *_gated(version),
        *_peg_best(version),
    )


def _adjustments(terms: OrderTerms) -> list[Value]:
    unset = UNSET_DOUBLE
    return [
        *row("None", unset, terms.trail_stop_price, _limit_offset(terms), unset, unset, unset, 0),
        *_extra(terms, "soft_dollar_name", "soft_dollar_value"),
        *row("", price(None), 1, 0, 0, _or(terms, "use_price_mgmt_algo", "0")),
    ]


def _gated(version: int) -> list[Value]:
    gates = ((versions.DURATION, ""), (versions.POST_TO_ATS, ""), (versions.AUTO_CANCEL_PARENT, 0))
    return [value for gate, value in gates if version >= gate]


def execution_details(version: int, request_id: int, execution: Execution, spec: SymbolSpec) -> bytes:
    """Message 11: one fill; request id -1 when it happens, else the id of the request for executions."""
    return message(
        11,
        request_id,
        execution.order_id,
        *contract_block(spec, execution.exchange),
        execution.exec_id,
        stamp(execution.time),
        execution.account,
        execution.exchange,
        execution.side,
        size(execution.shares, version),
        price(execution.price),
        execution.perm_id,
        execution.client_id,
        0,
        size(execution.cum_qty, version),
        price(execution.avg_price),
        execution.order_ref,
        "",
        "",
        "",
        execution.last_liquidity,
    )


def commission_report(commission: Commission) -> bytes:
    """Message 59: what an execution cost; an unset result where it opened or added to a position."""
    amount, result = price(commission.commission), unset_or(commission.realized_pnl)
    return message(59, 1, commission.exec_id, amount, commission.currency, result, UNSET_DOUBLE, "")


def completed_order(version: int, view: OrderView, spec: SymbolSpec) -> bytes:
    """Message 101: a finished order, known by its permanent id only."""
    terms = view.terms
    quantity = Decimal(0) if view.status == "Filled" else terms.quantity
    return message(
        101,
        *_contract(terms, spec),
        *_basics(terms, version, quantity),
        view.perm_id,
        terms.outside_rth,
        _or(terms, "hidden", "0"),
        price(None),
        terms.extra.get("good_after_time", ""),
        *_advisor(terms),
        *_reference_prices(terms),
        *row(_or(terms, "display_size", UNSET_INTEGER), _or(terms, "sweep_to_fill", "0"), 0, ""),
        *row(terms.oca_type, _or(terms, "trigger_method", "0"), "", 0, "None", "", 0, 0, 0, ""),
        *row(0, 0, *_trailing(terms), "", 0, 0, 0),
        *row(UNSET_INTEGER, UNSET_INTEGER, "", "", terms.extra.get("clearing_account", "")),
        *row(_or(terms, "clearing_intent", "IB"), _or(terms, "not_held", "0"), 0, "", _or(terms, "solicited", "0")),
        *row(view.status, _or(terms, "randomize_size", "0"), _or(terms, "randomize_price", "0"), 0),
        *row(terms.trail_stop_price, _limit_offset(terms), price(None), 1, 0, ""),
        *row(size(view.filled, version), "", 0, "", 0, 0, view.parent_perm_id or UNSET_LONG),
        stamp(view.completed_at or view.placed_at),
        view.completed_status,
        *_peg_best(version),
    )


def order_bound(perm_id: int, client_id: int, order_id: int) -> bytes:
    """Message 100: an order entered by hand has an order id of this client now."""
    return message(100, perm_id, client_id, order_id)


def completed_orders_end() -> bytes:
    """Message 102: that was the last finished order."""
    return message(102)


def open_orders_end() -> bytes:
    """Message 53: that was the last open order."""
    return message(53, 1)


def executions_end(request_id: int) -> bytes:
    """Message 55: that was the last execution."""
    return message(55, 1, request_id)
