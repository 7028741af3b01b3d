"""The bugs that the harness must catch: each a small change of the source, and the cells in which it shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """`old` stands exactly once in the file at `path`; it becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug. `tasks` are cells by name, `seed:number:database`, or `link:what:database` for the first
    seeds whose story has such a link; `scene` is edited for the sound tree as well."""

    name: str
    doc: str
    edits: tuple[Edit, ...]
    tasks: tuple[str, ...]
    scene: tuple[Edit, ...] = ()


def cells(operation: str, *points: str, database: str = "sqlite") -> tuple[str, ...]:
    """Cells by `role:point:occurrence:fault`."""
    return tuple(f"{operation}:{point}:{database}" for point in points)


BOOKS, LOCAL, SESSION = "broker/ib/books.py", "broker/service/local.py", "broker/ib/session.py"
RECORDER, MAPPING = "autotrader/core/audit/recorder.py", "broker/ib/mapping.py"
NEVER_ASKED = (
    Edit(
        BOOKS,
        "    fills = await connection.executions()\n    if any(",
        "    fills = list(connection.wrapper.fills.values())\n    if any(",
    ),
    Edit(
        BOOKS,
        "        fills = await connection.executions()\n    return tuple(",
        "        fills = list(connection.wrapper.fills.values())\n    return tuple(",
    ),
)
NOT_ON_RECORD = """            claim = submissions.claim(rows)
            self._report(claim.rows)
"""

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "send before commit",
        "the frame leaves before the owner's record of it is committed",
        (
            Edit(LOCAL, NOT_ON_RECORD, f"            frame()\n{NOT_ON_RECORD}"),
            Edit(LOCAL, '            frame()\n            crashpoint("bracket', '            crashpoint("bracket'),
        ),
        cells("cycle-bracket", "broker:submission_committing:1:kill", "broker:frame_written:2:kill"),
    ),
    Mutant(
        "key on orderId",
        "fills are matched by the broker's order id, which a restart gives away again",
        (
            Edit(
                MAPPING,
                "order_ref=execution.orderRef,",
                "order_ref=_BY_ID.setdefault(execution.orderId, execution.orderRef),",
            ),
            Edit(
                MAPPING,
                "from __future__ import annotations\n",
                "from __future__ import annotations\n\n_BY_ID: dict[int, str] = {}\n",
            ),
            Edit("trading/services/evidence.py", " and found.perm_id not in (None, perm_id):", " and not found:"),
            # Orders get the ids that the gateway says are free, whatever was used before.
            Edit(
                SESSION,
                "        connection.client.updateReqId(self._last_id + 1)\n",
                "        connection.free_id = connection.client._reqIdSeq\n",
            ),
            Edit(
                "broker/ib/orders.py",
                "    order.orderId = connection.client.getReqId()\n",
                "    order.orderId = connection.free_id\n    connection.free_id += 1\n",
            ),
        ),
        ("seed:0:sqlite",),
    ),
    Mutant(
        "time-out as reject",
        "a call that was not answered counts as a refusal",
        (
            Edit(
                "trading/services/sending.py",
                "    return tell(lambda: broker.place(request))\n",
                """    note = tell(lambda: broker.place(request))
    if note:
        from autotrader.core import audit
        from trading.services.order_moves import order_move

        with audit.recording():
            for order in orders:
                order.refresh_from_db()
                if order.state in (OrderState.SENDING, OrderState.SUBMITTED):
                    order_move(order, OrderState.REJECTED, cause=note, market_at=order.market_at)
    return note
""",
            ),
        ),
        cells("cycle-bracket", "broker:bracket_written:1:kill", "broker:submission_committed:1:kill"),
    ),
    Mutant(
        "skip reqExecutions",
        "executions are never asked for",
        (*NEVER_ASKED, Edit(SESSION, "        await connection.executions()\n", "")),
        cells(
            "cycle-bracket",
            "broker:evidence_ExecutionReport_committing:1:kill",
            "broker:received_ExecutionReport:1:kill",
        ),
    ),
    Mutant(
        "drop during 1100",
        "what filled while the link to the broker was down is never asked for",
        (
            *NEVER_ASKED,
            Edit(
                SESSION,
                "            await self._sync(connection)\n        except Exception",
                """            self._box.set(synced=True, reason="", phase="ready")
            self._announced = True
            self._on_synced()
        except Exception""",
            ),
        ),
        ("link:unseen:sqlite",),
    ),
    Mutant(
        "publish apart from the commit",
        "events are written in a transaction of their own",
        (
            Edit(
                RECORDER,
                """            if outermost:
                written = _write(frame.events)
                for name in points:
                    crashpoint(f"{name}_committing")
""",
                """        if outermost:
            for name in points:
                crashpoint(f"{name}_committing")
            with transaction.atomic():
                written = _write(frame.events)
""",
            ),
        ),
        cells("cycle-bracket", "worker:intent_committing:1:kill", "broker:evidence_ExecutionReport_committing:1:kill"),
    ),
    Mutant(
        "approve by id",
        "a yes counts for whatever the order is by then",
        (
            Edit(
                "trading/services/approval_states.py",
                "    return all(hmac.compare_digest(text, approval.digest) for text in texts)\n",
                "    return bool(texts)\n",
            ),
            Edit(
                "trading/services/approval_states.py",
                "    if not (hmac.compare_digest(row.digest, digest) and is_unchanged(row)):\n",
                "    if not digest:\n",
            ),
            Edit(
                "trading/services/approval_states.py",
                "    return ApprovalFacts(row.state, row.digest, digest, ",
                "    return ApprovalFacts(row.state, row.digest, row.digest, ",
            ),
        ),
        ("seed:-1:sqlite",),
        (
            Edit(
                "tests/crash/harness/operations.py",
                "        word = Word(user, approve=True",
                """        Order.objects.filter(group=approval.order.group).update(quantity=approval.quantity + 1)
        word = Word(user, approve=True""",
            ),
        ),
    ),
    Mutant(
        "id > last",
        "numbers are drawn before the commit, and the reader asks for later ones",
        (
            Edit(
                RECORDER,
                """    seq, previous = _head()
""",
                """    from django.db import connections

    other = connections["default"].copy()
    with other.cursor() as cursor:
        cursor.execute("UPDATE audit_audithead SET seq = seq + %s RETURNING seq, hash", [len(pending)])
        seq, previous = cursor.fetchone()
    other.close()
    seq -= len(pending)
""",
            ),
            Edit(RECORDER, 'SET seq = %s, hash = %s WHERE id = 1", [seq, previous]', 'SET hash = %s", [previous]'),
            Edit("autotrader/core/audit/tail.py", "        if row.seq != expected:", "        if row.seq < expected:"),
        ),
        cells(
            "cycle-bracket",
            "broker:evidence_ExecutionReport_committing:1:kill",
            "worker:intent_committing:1:kill",
            database="postgresql",
        ),
    ),
    Mutant(
        "no fencing",
        "a worker that was replaced writes on",
        (
            Edit(
                "trading/services/executions.py",
                "filter(pk=work.pk, epoch=work.epoch, state=ExecutionState.RUNNING)",
                "filter(pk=work.pk)",
            ),
        ),
        cells(
            "cycle-bracket",
            "worker:step_decide_committed:1:stop",
            "worker:step_validate_risk_committed:1:stop",
            "worker:lease_committed:1:stop",
            "worker:place_answered:1:stop",
        ),
    ),
    Mutant(
        "re-send in recovery",
        "what a new owner does not find at the broker is sent again",
        (
            Edit(
                "broker/service/reconcile.py",
                """        if verdict == "missing":
""",
                """        if verdict in ("missing", "proven") and row is not None:
            import json
            from datetime import timedelta
            from decimal import Decimal

            if (self._now() - row.created_at).total_seconds() < 2.5:
                return
            terms = json.loads(row.terms)
            con_id, reduces = terms.pop("con_id"), terms.pop("reduces")
            for name, value in terms.items():
                if value is not None and name in ("quantity", "limit_price", "stop_price"):
                    terms[name] = Decimal(value)
            leg = types.OrderLeg(**{**terms, "parent_ref": "", "oca_ref": ""})
            again = types.PlaceOrder(row.account, con_id, (leg,), reduces, self._now() + timedelta(seconds=9), "")
            contract = self._client._known_contract(con_id)
            if contract is not None:
                self._client.send(contract, again, lambda: None)
            return
        if verdict == "missing":
""",
            ),
        ),
        cells("cycle-bracket", "broker:submission_committed:1:kill", "broker:frame_half:1:kill"),
    ),
    Mutant(
        "delete audit row",
        "the last of several events is lost",
        (
            Edit(
                RECORDER,
                "Event.objects.bulk_create(rows)",
                "Event.objects.bulk_create(rows[:-1] if len(rows) > 5 else rows)",
            ),
        ),
        cells("cycle-bracket", "worker:intent_committed:1:kill"),
    ),
    Mutant(
        "double-count restart",
        "what an earlier process has booked is booked again when it is told again",
        (
            Edit(
                "trading/services/fills.py",
                """    if known is not None:
        return _late_commission(known, event)
""",
                """    booked = globals().setdefault("_BOOKED_HERE", set())
    if known is not None:
        from dataclasses import replace

        if event.exec_id in booked or known.exec_id.startswith("again."):
            return _late_commission(known, event)
        event = replace(event, exec_id=f"again.{event.exec_id}")
        if Fill.objects.filter(account=order.account, exec_id=event.exec_id).exists():
            return False
    booked.add(event.exec_id)
""",
            ),
            Edit("broker/service/writer.py", "and self._heard.is_known(event)", "and False"),
        ),
        cells(
            "cycle-bracket",
            "broker:evidence_ExecutionReport_committed:1:kill",
            "broker:evidence_CommissionReport_committed:1:kill",
        ),
    ),
    Mutant(
        "parent transmits first",
        "every leg of a bracket is transmitted as it is written",
        (
            Edit(
                "broker/ib/orders.py",
                "    for order_ref in _last_of_families(request.legs):\n",
                "    for order_ref in built:\n",
            ),
        ),
        cells("cycle-bracket", "broker:frame_written:1:kill", "broker:frame_writing:2:kill"),
    ),
    Mutant(
        "late costs dropped",
        "a commission that comes after its fill is not booked",
        (
            Edit(
                "trading/services/fills.py",
                "    if fill.commission is None or fill.commission != quantize_money(event.commission):\n",
                "    if False:\n",
            ),
            Edit(
                "trading/services/fills.py",
                "    if event.commission is None or fill.commission is not None:\n",
                "    if True:\n",
            ),
        ),
        cells("cycle-bracket", "broker:evidence_ExecutionReport_committed:1:kill"),
    ),
    Mutant(
        "cancel lost while away",
        "a connection that is missing ends the wish to cancel, as a shut gate does",
        (
            Edit(
                "broker/gates.py",
                '        raise BrokerUnavailable(f"The broker is not connected: {status.reason}")\n',
                '        raise TradingDisabled(f"not connected: {status.reason}", code="BROKER_NOT_READY")\n',
            ),
            Edit("trading/services/cancels.py", " and error.reason in SHUT_FOR_CANCELS:", ":"),
        ),
        cells("request-cancel", "broker:cancel_writing:1:gateway", "web:cancel_wish_committed:1:gateway"),
    ),
    Mutant(
        "no last look",
        "the halt's file is not read before the first byte",
        (
            Edit(
                LOCAL,
                "lambda: gates.halt_file_gate(self._state_dir, reduces=reduces, protective=protective)\n",
                "lambda: None\n",
            ),
        ),
        cells("cycle-bracket", "broker:submission_committed:1:halt", "broker:gates_passed:1:halt"),
    ),
    Mutant(
        "question forgotten",
        "a question whose answer a crash took is taken off the record and asked again",
        (
            Edit(
                "research/services.py",
                "        return bool(self.correlation_id) and asked.exists()\n",
                "        asked.delete()\n        return False\n",
            ),
        ),
        cells("cycle-model", "worker:model_close_committing:1:kill"),
    ),
)
