"""A desk with a long past, made by one INSERT a table: `python -m tests.bench.history_rows EVENTS ORDERS` prints a key.

The rows are the bench's own: the log's actor is "bench" and its hashes chain nothing, so `verify_audit` refuses it.
Filters meet what costs most: values that nearly every row has, that no row has, and that a few of the oldest rows have.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

START = "2025-01-01 00:00:00"
STRATEGIES, INSTRUMENTS = 20, 50
VERDICTS = 6
# Of every table, the first rows have what no later one has.
RARE = 40


def fill(events: int, orders: int) -> None:
    """Add the rows to the migrated, empty database of this process's settings."""
    from django.db import connection, transaction

    groups = -(-orders // 3)
    with transaction.atomic():
        _desk()
        _cycles(groups)
        _decisions(groups)
        _orders(orders)
        _events(events)
    if connection.vendor == "postgresql":
        # What the server finds out by itself within minutes.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _desk() -> None:
    from trading.models import Account, Instrument, Strategy
    from trading.models.strategy import RiskProfile
    from trading.models.workflow import Workflow, WorkflowVersion

    for number, name in enumerate(("DU1", "DU2", "DU3"), start=1):
        insert(Account, 1, id=f"'{name}'", kind="'paper'", base_currency="'USD'", created_at=f"{at(str(number))}")
    insert(Workflow, 1, id="1", name="'bench'")
    insert(WorkflowVersion, 1, id="1", workflow_id="1", number="1", steps="'[]'")
    insert(RiskProfile, 1, id="1", name="'bench'")
    names = {"id": "i", "name": "'strategy ' || i", "workflow_version_id": "1", "risk_profile_id": "1"}
    insert(Strategy, STRATEGIES, **names)
    insert(Instrument, INSTRUMENTS, id="i", symbol="'SYM' || i", con_id="i")


def _cycles(groups: int) -> None:
    from trading.models import Cycle, WorkflowExecution

    insert(Cycle, groups, id="i", trigger="'manual'", state="'DONE'", correlation_id="'cycle' || i")
    insert(
        WorkflowExecution, groups, id="i", cycle_id="i", strategy_id=strategy(), instrument_id=instrument(),
        workflow_version_id="1", account_id=account(), state="'DONE'",
    )  # fmt: skip


def _decisions(groups: int) -> None:
    from trading.models import Decision, RiskVerdict, Trade

    common = {"account_id": account(), "strategy_id": strategy(), "instrument_id": instrument()}
    insert(
        Decision, groups, id="i", execution_id="i", **common, type=rare("'sell'", "'buy'"), purpose="'entry'",
        state=rare("'REFUSED'", "'ALLOWED'"), decided_by="'rules-v1'", strategy_used="'Indicator_2Y_1day'",
        price="100.25", target_price="110.5", stop_price="95.75", rationale=f"'{'Because of the trend. ' * 8}'",
    )  # fmt: skip
    insert(
        RiskVerdict, groups * VERDICTS, id="i", decision_id=f"(i - 1) / {VERDICTS} + 1", request_id="NULL",
        rule=f"'rule ' || (i % {VERDICTS})", allowed="TRUE", message="'It is within the limit.'",
    )  # fmt: skip
    insert(
        Trade, groups, id="i", **common, decision_id="i", opening_exec_id="'x' || i", side="'long'",
        state=rare("'OPEN'", "'CLOSED'"), quantity="10", open_quantity="0", entry_price="100.25", exit_price="110.5",
        commission="2", pnl="100.5",
    )  # fmt: skip


def _orders(orders: int) -> None:
    from trading.models import Fill, Order

    group = "((i - 1) / 3 + 1)"
    insert(
        Order, orders, id="i", account_id=account(group), strategy_id=strategy(group),
        instrument_id=instrument(group), decision_id=group, role="CASE i % 3 WHEN 1 THEN 'entry' WHEN 2 THEN 'stop' "
        "ELSE 'target' END", parent_id="CASE WHEN i % 3 = 1 THEN NULL ELSE i - (i + 2) % 3 END",
        order_ref="'B' || i", side="CASE WHEN i % 3 = 1 THEN 'BUY' ELSE 'SELL' END", quantity="10",
        order_type="'LMT'", limit_price="100.25", tif="'DAY'", filled_quantity="10", average_price="100.25",
        state=rare("'EXPIRED'", "CASE i % 3 WHEN 2 THEN 'CANCELLED' ELSE 'FILLED' END"),
    )  # fmt: skip
    insert(
        Fill, orders // 3, id="i", account_id=account(), order_id="i * 3 - 2", trade_id="i", exec_id="'x' || i",
        exec_root="'x' || i", side="'BUY'", quantity="10", price="100.25", commission="1",
    )  # fmt: skip


def _events(events: int) -> None:
    from autotrader.core.audit.models import AuditHead, Event

    document = '{"limit_price":"100.25","order_ref":"B1","quantity":"10","role":"entry","side":"BUY","tif":"DAY"}'
    insert(
        Event, events, seq="i", type=rare("'BUST'", "CASE i % 3 WHEN 0 THEN 'ORDER_SENDING' ELSE 'STEP_DONE' END"),
        account=rare("'DU9'", "CASE i % 2 WHEN 0 THEN 'DU1' ELSE '' END"), actor=rare("'ann'", "'bench'"),
        correlation_id="'cycle' || (i / 20) || '.' || (i / 20)", subject="'order:B' || (i / 8)", subject_version="i",
        old_state="'APPROVED'", new_state="'SENDING'", cause="'intent'", document=f"'{document}'",
        previous_hash="'0'", hash="'0'",
    )  # fmt: skip
    AuditHead.objects.update(seq=events, hash="0")


def at(number: str) -> str:
    """The time so many seconds after START."""
    from django.db import connection

    if connection.vendor == "postgresql":
        return f"timestamptz '{START}+00' + ({number}) * interval '1 second'"
    return f"datetime('{START}', '+' || ({number}) || ' seconds')"


def rare(first: str, rest: str) -> str:
    """A value that only the oldest rows have, and the others'."""
    return f"CASE WHEN i <= {RARE} THEN {first} ELSE {rest} END"


def account(number: str = "i") -> str:
    return f"CASE WHEN {number} <= {RARE} THEN 'DU3' WHEN {number} % 2 = 0 THEN 'DU1' ELSE 'DU2' END"


def strategy(number: str = "i") -> str:
    return f"CASE WHEN {number} <= {RARE} THEN {STRATEGIES} ELSE {number} % {STRATEGIES - 1} + 1 END"


def instrument(number: str = "i") -> str:
    return f"CASE WHEN {number} <= {RARE} THEN {INSTRUMENTS} ELSE {number} % {INSTRUMENTS - 1} + 1 END"


def insert(model: Any, count: int, **expressions: str) -> None:
    """So many rows in one statement: each column's SQL of `i` = 1…count, or what the model itself would put there."""
    from django.db import connection

    fields = model._meta.concrete_fields
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    values = ", ".join(expressions.pop(field.attname, "") or _default(field) for field in fields)
    assert not expressions, f"{model.__name__} has no {', '.join(expressions)}"
    table = connection.ops.quote_name(model._meta.db_table)
    series = f"WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {count})"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) {series} SELECT {values} FROM s")


def _default(field: Any) -> str:
    kind = field.get_internal_type()
    if kind == "DateTimeField":
        return at("i")
    if field.null:
        return "NULL"
    if kind == "JSONField":
        return "'[]'" if field.default is list else "'{}'"
    if field.has_default():
        value = field.get_default()
        return str(value).upper() if isinstance(value, bool) else f"'{value}'"
    return {"CharField": "''", "TextField": "''", "BooleanField": "FALSE"}.get(kind, "0")


def reader() -> str:
    """A key that may look at everything, as often as it likes."""
    from autotrader.core.clock import system_now
    from autotrader.core.users.keys import Terms, key_create
    from autotrader.core.users.models import User

    user = User.objects.create_superuser("reader")
    terms = Terms("bench", ("read",), system_now() + timedelta(days=1), requests_per_minute=60_000)
    return key_create(terms, user=user, actor="bench")[1]


if __name__ == "__main__":
    import django

    django.setup()
    fill(int(sys.argv[1]), int(sys.argv[2]))
    print(reader())
