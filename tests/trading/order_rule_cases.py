"""The cases of the controls of the order itself and of the market."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from tests.trading.builders import NOW, D
from tests.trading.rule_cases import Cases

NAN, INFINITE = Decimal("NaN"), Decimal("Infinity")
EXIT: dict[str, Any] = {"purpose": "exit", "side": "SELL", "role": "exit", "held": D(100), "limit_price": D(99)}
SHORT: dict[str, Any] = {
    "side": "SELL", "target_price": D(90), "stop_price": D(105), "limit_price": D(99), "allow_short": True,
    "bid": D(100), "ask": D("100.02"), "price": D(100),
}  # fmt: skip
MARKET: dict[str, Any] = {"order_type": "MKT", "limit_price": None}
STOP: dict[str, Any] = {
    "purpose": "change", "role": "stop", "side": "SELL", "order_type": "STP", "limit_price": None, "held": D(100),
    "stop_price": D(96), "target_price": None,
}  # fmt: skip
SECOND, JUST = timedelta(seconds=1), timedelta(microseconds=1)

CASES = [
    Cases(
        rule="order_size",
        allows=[{"quantity": D(1)}, MARKET, STOP | {"quantity": D(20_000)}],
        refuses=[
            ({"quantity": D(0)}, "NO_ROOM"),
            ({"quantity": D(-1)}, "NO_ROOM"),
            ({"quantity": D(50_000)}, "QUANTITY_TOO_LARGE"),
            ({"quantity": D(5000)}, "VALUE_TOO_LARGE"),
            ({"purpose": "change", "role": "entry", "quantity": D(50_000)}, "QUANTITY_TOO_LARGE"),
        ],
        boundary=[
            (
                {"quantity": D(10_000), "limits": {"max_order_value": D(1_010_000)}},
                {"quantity": D(10_001), "limits": {"max_order_value": D(2_000_000)}},
                "QUANTITY_TOO_LARGE",
            ),
            (
                {"limits": {"max_order_value": D(10_100)}},
                {"limits": {"max_order_value": D("10099.99")}},
                "VALUE_TOO_LARGE",
            ),
            (
                MARKET | {"limits": {"max_order_value": D(10_100)}},
                MARKET | {"limits": {"max_order_value": D("10099.99")}},
                "VALUE_TOO_LARGE",
            ),
            (
                SHORT | {"limits": {"max_order_value": D(10_000)}},
                SHORT | {"limits": {"max_order_value": D("9999.99")}},
                "VALUE_TOO_LARGE",
            ),
        ],
        fails_closed=[
            ({"quantity": NAN}, "NO_ROOM"),
            ({"quantity": INFINITE}, "NO_ROOM"),
            ({"limit_price": NAN}, "VALUE_UNKNOWN"),
            ({"limit_price": INFINITE}, "VALUE_UNKNOWN"),
            (MARKET | {"price": None}, "VALUE_UNKNOWN"),
            (MARKET | {"price": NAN}, "VALUE_UNKNOWN"),
            ({"quantity": "many"}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="price_collar",
        allows=[
            MARKET,
            {"limit_price": D(90)},
            SHORT | {"limit_price": D(110)},
            STOP,
            EXIT | {"close": D(200)},
            EXIT | {"close": None},
            {"purpose": "change", "role": "target", "side": "SELL", "limit_price": D(180), "close": D(100)},
        ],
        refuses=[
            ({"limit_price": D(110)}, "OUTSIDE_COLLAR"),
            (SHORT | {"limit_price": D(90)}, "OUTSIDE_COLLAR"),
            (EXIT | {"limit_price": D(80)}, "OUTSIDE_COLLAR"),
            ({"limit_price": D(1000)}, "OUTSIDE_COLLAR"),
            ({"limit_price": D("0.01")}, "FAR_FROM_CLOSE"),
            ({"close": D(50)}, "FAR_FROM_CLOSE"),
            (MARKET | {"close": D(50)}, "FAR_FROM_CLOSE"),
            ({"purpose": "change", "role": "entry", "limit_price": D(120)}, "OUTSIDE_COLLAR"),
            ({"purpose": "change", "role": "target", "side": "SELL", "limit_price": D(90)}, "OUTSIDE_COLLAR"),
        ],
        boundary=[
            (
                {"bid": D(99), "ask": D(101), "limit_price": D(103)},
                {"bid": D(99), "ask": D(101), "limit_price": D("103.01")},
                "OUTSIDE_COLLAR",
            ),
            (
                SHORT | {"bid": D(99), "ask": D(101), "limit_price": D(97)},
                SHORT | {"bid": D(99), "ask": D(101), "limit_price": D("96.99")},
                "OUTSIDE_COLLAR",
            ),
            (
                {"bid": D(120), "ask": D(120), "price": D(120), "limit_price": D(120)},
                {"bid": D(120), "ask": D(120), "price": D(120), "limit_price": D("120.01")},
                "FAR_FROM_CLOSE",
            ),
            ({"limit_price": D(80)}, {"limit_price": D("79.99")}, "FAR_FROM_CLOSE"),
            ({"quote_at": NOW - 15 * SECOND}, {"quote_at": NOW - 15 * SECOND - JUST}, "STALE_QUOTE"),
        ],
        fails_closed=[
            ({"limit_price": None}, "NO_LIMIT"),
            ({"limit_price": NAN}, "NO_LIMIT"),
            ({"limit_price": INFINITE}, "NO_LIMIT"),
            (MARKET | {"price": None}, "NO_LIMIT"),
            ({"bid": None}, "NO_QUOTE"),
            ({"ask": NAN}, "NO_QUOTE"),
            ({"quote_at": None}, "NO_QUOTE"),
            ({"close": None}, "NO_CLOSE"),
            ({"close": NAN}, "NO_CLOSE"),
            ({"close": D(0)}, "NO_CLOSE"),
            ({"quote_at": NOW.replace(tzinfo=None)}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="market_quote",
        allows=[MARKET, EXIT, EXIT | MARKET, EXIT | {"halted": True}, {"bid": D(100), "ask": D(100)}],
        refuses=[
            ({"bid": D("100.01"), "ask": D(100)}, "NO_QUOTE"),
            ({"bid": D(0)}, "NO_QUOTE"),
            ({"bid": D(-1)}, "NO_QUOTE"),
            ({"quote_at": NOW - timedelta(minutes=5)}, "STALE_QUOTE"),
            ({"quote_at": NOW + 16 * SECOND}, "STALE_QUOTE"),
            (MARKET | {"quote_at": NOW - timedelta(minutes=5)}, "STALE_QUOTE"),
            (MARKET | {"bid": D(90)}, "WIDE_SPREAD"),
            (EXIT | MARKET | {"bid": D(90)}, "WIDE_SPREAD"),
            ({"halted": True}, "CONTRACT_HALTED"),
            ({"order_type": "MOC"}, "ORDER_TYPE"),
        ],
        boundary=[
            ({"quote_at": NOW - 15 * SECOND}, {"quote_at": NOW - 15 * SECOND - JUST}, "STALE_QUOTE"),
            (
                MARKET | {"quote_at": NOW - 15 * SECOND},
                MARKET | {"quote_at": NOW - 15 * SECOND - JUST},
                "STALE_QUOTE",
            ),
            ({"bid": D("99.5"), "ask": D("100.5")}, {"bid": D("99.49"), "ask": D("100.5")}, "WIDE_SPREAD"),
            (
                MARKET | {"bid": D("99.5"), "ask": D("100.5")},
                MARKET | {"bid": D("99.49"), "ask": D("100.5")},
                "WIDE_SPREAD",
            ),
        ],
        fails_closed=[
            ({"bid": None}, "NO_QUOTE"),
            ({"ask": None}, "NO_QUOTE"),
            ({"bid": NAN}, "NO_QUOTE"),
            ({"ask": INFINITE}, "NO_QUOTE"),
            (MARKET | {"bid": None}, "NO_QUOTE"),
            ({"quote_at": None}, "NO_QUOTE"),
            ({"quote_at": NOW.replace(tzinfo=None)}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="buying_power",
        allows=[MARKET, SHORT, {"reserved": D(10_000), "funds_in_flight": D(10_000)}],
        refuses=[
            ({"available_funds": D(-1)}, "FUNDS_TOO_LOW"),
            ({"reserved": D(45_000)}, "FUNDS_TOO_LOW"),
            ({"funds_in_flight": D(45_000)}, "FUNDS_TOO_LOW"),
            (SHORT | {"available_funds": D(100)}, "FUNDS_TOO_LOW"),
        ],
        boundary=[
            ({"available_funds": D(10_100)}, {"available_funds": D("10099.99")}, "FUNDS_TOO_LOW"),
            (MARKET | {"available_funds": D(10_100)}, MARKET | {"available_funds": D("10099.99")}, "FUNDS_TOO_LOW"),
            (
                {"available_funds": D(10_200), "reserved": D(60), "funds_in_flight": D(40)},
                {"available_funds": D(10_200), "reserved": D(60), "funds_in_flight": D("40.01")},
                "FUNDS_TOO_LOW",
            ),
        ],
        fails_closed=[
            ({"available_funds": None}, "FUNDS_UNKNOWN"),
            ({"available_funds": NAN}, "FUNDS_UNKNOWN"),
            ({"available_funds": INFINITE}, "FUNDS_UNKNOWN"),
            ({"reserved": NAN}, "FUNDS_UNKNOWN"),
            ({"funds_in_flight": NAN}, "FUNDS_UNKNOWN"),
            ({"limit_price": NAN}, "VALUE_UNKNOWN"),
            (MARKET | {"price": None}, "VALUE_UNKNOWN"),
            ({"reserved": "much"}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="position_limits",
        allows=[SHORT, {"open_entries": 1, "exposure_total": D(20_000), "exposure_instrument": D(5_000)}],
        refuses=[
            (SHORT | {"allow_short": False}, "SHORT_NOT_ALLOWED"),
            ({"open_entries": 99}, "TOO_MANY_OPEN_ORDERS"),
            ({"equity": D(0)}, "EQUITY_UNKNOWN"),
            ({"equity": D(-5)}, "EQUITY_UNKNOWN"),
            ({"exposure_instrument": D(90_000)}, "POSITION_TOO_LARGE"),
            ({"exposure_total": D(900_000)}, "EXPOSURE_TOO_LARGE"),
        ],
        boundary=[
            ({"open_entries": 9}, {"open_entries": 10}, "TOO_MANY_OPEN_ORDERS"),
            ({"equity": D(50_500)}, {"equity": D("50499.99")}, "POSITION_TOO_LARGE"),
            (
                {"exposure_total": D(9_900), "exposure_instrument": D(9_900)},
                {"exposure_total": D("9900.01"), "exposure_instrument": D("9900.01")},
                "POSITION_TOO_LARGE",
            ),
            ({"exposure_total": D(89_900)}, {"exposure_total": D("89900.01")}, "EXPOSURE_TOO_LARGE"),
            (
                MARKET | {"exposure_total": D(89_900)},
                MARKET | {"exposure_total": D("89900.01")},
                "EXPOSURE_TOO_LARGE",
            ),
        ],
        fails_closed=[
            ({"equity": None}, "EQUITY_UNKNOWN"),
            ({"equity": NAN}, "EQUITY_UNKNOWN"),
            ({"equity": INFINITE}, "EQUITY_UNKNOWN"),
            ({"limit_price": NAN}, "EXPOSURE_UNKNOWN"),
            (MARKET | {"price": None}, "EXPOSURE_UNKNOWN"),
            ({"exposure_total": NAN}, "EXPOSURE_UNKNOWN"),
            ({"exposure_instrument": NAN}, "EXPOSURE_UNKNOWN"),
            ({"open_entries": None}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="reduce_only",
        allows=[
            EXIT,
            EXIT | {"quantity": D(1)},
            EXIT | {"side": "BUY", "held": D(-100)},
            STOP,
            {"purpose": "change", "role": "entry"},
        ],
        refuses=[
            (EXIT | {"side": "BUY"}, "WOULD_INCREASE"),
            (EXIT | {"held": D(0)}, "WOULD_INCREASE"),
            (EXIT | {"held": D(-100)}, "WOULD_INCREASE"),
            (EXIT | {"closing_quantity": D(100)}, "WOULD_INCREASE"),
            (EXIT | {"elsewhere": D(100)}, "WOULD_INCREASE"),
            (STOP | {"held": D(0)}, "WOULD_INCREASE"),
        ],
        boundary=[
            (EXIT, EXIT | {"quantity": D("100.000001")}, "WOULD_INCREASE"),
            (
                EXIT | {"side": "BUY", "held": D(-100)},
                EXIT | {"side": "BUY", "held": D(-100), "quantity": D(101)},
                "WOULD_INCREASE",
            ),
            (
                EXIT | {"quantity": D(60), "closing_quantity": D(40)},
                EXIT | {"quantity": D(61), "closing_quantity": D(40)},
                "WOULD_INCREASE",
            ),
            (
                EXIT | {"quantity": D(60), "elsewhere": D(40)},
                EXIT | {"quantity": D(61), "elsewhere": D(40)},
                "WOULD_INCREASE",
            ),
            (STOP | {"held": D(40), "pending": D(60)}, STOP | {"held": D(40), "pending": D(59)}, "WOULD_INCREASE"),
        ],
        fails_closed=[
            (EXIT | {"held": NAN}, "POSITION_UNKNOWN"),
            (EXIT | {"held": None}, "POSITION_UNKNOWN"),
            (EXIT | {"closing_quantity": NAN}, "POSITION_UNKNOWN"),
            (EXIT | {"elsewhere": NAN}, "POSITION_UNKNOWN"),
            (EXIT | {"quantity": NAN}, "POSITION_UNKNOWN"),
            (STOP | {"pending": NAN}, "POSITION_UNKNOWN"),
            (EXIT | {"quantity": "all"}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="allowed_contract",
        allows=[
            {"allowed_con_ids": frozenset({8314, 265598})},
            {"currency": "EUR", "base_currency": "EUR"},
            EXIT | {"allowed_con_ids": frozenset()},
            EXIT | {"restricted_con_ids": frozenset({265598})},
        ],
        refuses=[
            ({"allowed_con_ids": frozenset({8314})}, "SYMBOL_NOT_ALLOWED"),
            ({"allowed_con_ids": frozenset()}, "SYMBOL_NOT_ALLOWED"),
            ({"restricted_con_ids": frozenset({265598})}, "SYMBOL_RESTRICTED"),
            ({"currency": "EUR"}, "FX_NOT_SUPPORTED"),
            (EXIT | {"currency": "EUR"}, "FX_NOT_SUPPORTED"),
        ],
        boundary=[
            # The same symbol of another exchange is another contract.
            ({"con_id": 265598}, {"con_id": 265599}, "SYMBOL_NOT_ALLOWED"),
            (
                {"restricted_con_ids": frozenset({265599})},
                {"restricted_con_ids": frozenset({265599, 265598})},
                "SYMBOL_RESTRICTED",
            ),
        ],
        fails_closed=[
            ({"con_id": None}, "CONTRACT_UNRESOLVED"),
            ({"con_id": 0}, "CONTRACT_UNRESOLVED"),
            (EXIT | {"con_id": None}, "CONTRACT_UNRESOLVED"),
            ({"currency": "", "base_currency": ""}, "FX_NOT_SUPPORTED"),
            ({"con_id": "AAPL"}, "RULE_FAILED"),
            ({"allowed_con_ids": None}, "RULE_FAILED"),
        ],
    ),
    Cases(
        rule="sound_numbers",
        allows=[
            {"tick": D(1)},
            MARKET,
            SHORT,
            EXIT,
            EXIT | {"quantity": D("0.5"), "held": D("0.5")},
            STOP,
            {"lot": D(100)},
            {"available_funds": D(-5), "equity": D(-5)},
        ],
        refuses=[
            ({"quantity": D(0)}, "BAD_NUMBER"),
            ({"quantity": D(-10)}, "BAD_NUMBER"),
            ({"stop_price": D(-95)}, "BAD_NUMBER"),
            ({"bid": D(-1)}, "BAD_NUMBER"),
            ({"open_entries": -1}, "BAD_NUMBER"),
            ({"quantity": D("1e30")}, "HUGE_NUMBER"),
            ({"quantity": D("1e400")}, "HUGE_NUMBER"),
            ({"limit_price": D("1e30")}, "HUGE_NUMBER"),
            ({"quantity": D("0.0000001")}, "HUGE_NUMBER"),
            (EXIT | {"quantity": D("50.5")}, "OFF_LOT"),
            (STOP | {"stop_price": D("95.001")}, "OFF_TICK"),
        ],
        boundary=[
            ({"limit_price": D("101.01")}, {"limit_price": D("101.005")}, "OFF_TICK"),
            ({"stop_price": D("94.99")}, {"stop_price": D("94.999")}, "OFF_TICK"),
            ({"target_price": D("110.01")}, {"target_price": D("110.001")}, "OFF_TICK"),
            ({"lot": D(100), "quantity": D(200)}, {"lot": D(100), "quantity": D(201)}, "OFF_LOT"),
            ({"lot": D(100), "quantity": D(100)}, {"lot": D(100), "quantity": D(99)}, "TOO_SMALL"),
            ({"quantity": D(999_999_999)}, {"quantity": D(1_000_000_000)}, "HUGE_NUMBER"),
            (
                {"lot": D("0.000001"), "quantity": D("0.000001")},
                {"lot": D("0.0000001"), "quantity": D("0.0000001")},
                "HUGE_NUMBER",
            ),
        ],
        fails_closed=[
            *(
                ({name: value}, "BAD_NUMBER")
                for name in ("price", "limit_price", "stop_price", "target_price", "quantity", "bid", "close", "equity")
                for value in (NAN, INFINITE, -INFINITE)
            ),
            *(({name: None}, "BAD_NUMBER") for name in ("price", "limit_price", "stop_price", "target_price")),
            ({"exposure_total": NAN}, "BAD_NUMBER"),
            ({"ledger": {"position": INFINITE}}, "BAD_NUMBER"),
            ({"tick": None}, "TICK_UNKNOWN"),
            ({"tick": D(0)}, "TICK_UNKNOWN"),
            ({"lot": None}, "LOT_UNKNOWN"),
            ({"lot": D(0)}, "LOT_UNKNOWN"),
            ({"tick": "cent"}, "RULE_FAILED"),
        ],
    ),
]
