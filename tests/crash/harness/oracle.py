"""The judge of a cell: compares the gateway's ledger and frames, our rows, the audit chain and what a reader saw."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from autotrader.core.audit.models import AuditHead, Event
from autotrader.core.audit.verify import verify_chain
from broker.models import Submission
from broker.port import TABLE
from research.models import ModelCall
from tests.crash.harness.world import Frame, World, rows
from trading.models import Approval, Discrepancy, Dispatch, Fill, Order, OrderChange, OrderRequest
from trading.models import WorkflowExecution as Execution
from trading.models.order import TERMINAL, Role
from trading.selectors import invariants
from trading.selectors.invariants import Terms, Violation
from trading.selectors.positions import booked
from trading.services.change_evidence import OPEN_CHANGE
from trading.services.order_states import GRAPH

ZERO = Decimal(0)
CENT = Decimal("0.01")
ON_THE_WAY = timedelta(seconds=1)  # from the last look at the deadline to the gateway's log, on a busy machine
HALT_LIMIT = timedelta(milliseconds=250)
UNTOLD = {"", "1.7976931348623157e+308", "1.7976931348623157E308"}
UNPROVEN = frozenset({"SENDING", "SUBMITTED", "UNKNOWN"})
WORKING = frozenset({"PreSubmitted", "Submitted", "PendingSubmit", "PendingCancel"})

Found = Iterator[Violation]


def check_i1(world: World) -> Found:
    """At most one order at the broker for an intent, and at most one frame for each of its revisions."""
    sent = Counter(Submission.objects.filter(state="SENT").values_list("order_ref", flat=True))
    doubled = set(Discrepancy.objects.filter(kind="doubled", state="OPEN").values_list("order__order_ref", flat=True))
    for ref, frames in world.places().items():
        if ref and len(frames) > sent[ref]:
            yield Violation("I1", f"order:{ref}", f"{len(frames)} frames, {sent[ref]} on record as sent")
    ids: defaultdict[str, set[int]] = defaultdict(set)
    working: Counter[str] = Counter()
    for order in world.orders.values():
        if order["order_ref"]:
            ids[order["order_ref"]].add(order["order_id"])
            working[order["order_ref"]] += order["status"] in WORKING
    for ref, found in ids.items():
        if len(found) > 1:
            yield Violation("I1", f"order:{ref}", f"the broker has it under the ids {sorted(found)}")
        elif working[ref] > 1 and ref not in doubled:
            yield Violation("I1", f"order:{ref}", f"{working[ref]} of it work at the broker, and nobody was told")


def check_i2(world: World) -> Found:
    """What reached the broker was on record before, as Submission and as SENDING; what did not is tagged EXTERNAL."""
    first = {row.order_ref: row for row in Submission.objects.filter(revision=0)}
    ours = {order.order_ref: order for order in Order.objects.exclude(role=Role.EXTERNAL)}
    for ref, frames in world.places().items():
        record, order = first.get(ref), ours.get(ref)
        if record is None or record.state != "SENT" or record.created_at > frames[0].at:
            yield Violation("I2", f"order:{ref}", f"a frame at {frames[0].at}, its record: {record or 'none'}")
        if order is None or order.sending_at is None or order.sending_at > frames[0].at:
            yield Violation("I2", f"order:{ref}", f"a frame at {frames[0].at} before the order was SENDING")
    tagged = set(Order.objects.filter(role=Role.EXTERNAL).values_list("perm_id", flat=True))
    for perm_id, theirs in world.orders.items():
        if theirs["order_ref"] not in ours and int(perm_id) not in tagged:
            yield Violation("I2", f"perm:{perm_id}", "an order at the broker that none of our rows knows")
    yield from _renamed("I2", invariants.sent_knowingly(_terms(world)))


def check_i3(world: World) -> Found:
    """Every frame says what was recorded and allowed, and, where a person was asked, what that one approved in time."""
    records = {(row.order_ref, row.revision): row for row in Submission.objects.filter(state="SENT")}
    hashes = dict(Order.objects.exclude(role=Role.EXTERNAL).values_list("order_ref", "intent_hash"))
    sending = dict(Order.objects.exclude(role=Role.EXTERNAL).values_list("order_ref", "sending_at"))
    latest = timedelta(seconds=TABLE["place"].timeout * world.factor) + ON_THE_WAY
    for ref, frames in world.places().items():
        record = records.get((ref, 0))
        if record is None:
            continue
        if record.intent_hash != hashes.get(ref):
            yield Violation("I3", f"order:{ref}", "the record carries another intent's digest than the order")
        yield from _differences(ref, frames[0], json.loads(record.terms))
        since = sending.get(ref)
        begun = record.created_at if world.owner_stopped else frames[0].at
        if since is not None and begun > since + latest:
            yield Violation("I3", f"order:{ref}", f"its frame left {begun - since} after the intent: too late")
    yield from _approved_otherwise(world)
    yield from _renamed("I3", invariants.sent_with_consent(_terms(world)))


def _approved_otherwise(world: World) -> Found:
    """A frame that does not say what the persons were shown."""
    places = world.places()
    for approval in Approval.objects.filter(order__isnull=False).select_related("order"):
        assert approval.order is not None
        frames = places.get(approval.order.order_ref)
        if frames:
            yield from _differences(approval.order.order_ref, frames[0], approval.terms["legs"][0])


def _differences(ref: str, frame: Frame, terms: Mapping[str, Any]) -> Found:
    told = {
        "side": frame.terms["action"],
        "order_type": frame.terms["order_type"],
        "quantity": _number(frame.terms["quantity"]),
        "limit_price": _number(frame.terms["limit_price"]),
        "stop_price": _number(frame.terms["aux_price"]),
    }
    for name, value in told.items():
        wanted = terms[name] if name in ("side", "order_type") else _number(terms[name])
        if value != wanted and not (name == "stop_price" and terms["order_type"] not in ("STP", "STP LMT")):
            yield Violation("I3", f"order:{ref}", f"{name}: the frame says {value}, the record {wanted}")


def _number(text: str | None) -> Decimal | None:
    return None if text is None or text in UNTOLD else Decimal(text)


def check_i4(world: World) -> Found:
    """Each execution of the broker is booked once as it stands now, for its own order, and none else is."""
    theirs = {
        exec_id: (Decimal(row["shares"]), Decimal(row["price"])) for exec_id, row in world.truth["executions"].items()
    }
    ours = {
        fill.exec_id: (fill.quantity, fill.price)
        for fill in Fill.objects.filter(account=world.account, superseded=False)
    }
    for exec_id in sorted(theirs.keys() | ours.keys()):
        told, kept = theirs.get(exec_id), ours.get(exec_id)
        if not (told and told[0]) and not (kept and kept[0]):
            continue  # taken back on both sides
        if told is None or kept is None:
            yield Violation(
                "I4", f"exec:{exec_id}", f"the broker says {told or 'nothing'}, we booked {kept or 'nothing'}"
            )
        elif told[0] != kept[0] or (told[0] and abs(told[1] - kept[1]) > CENT / 100):
            yield Violation("I4", f"exec:{exec_id}", f"the broker says {told}, we booked {kept}")
    ours_only = Fill.objects.filter(account=world.account, superseded=False).exclude(order__role=Role.EXTERNAL)
    for exec_id, ref in ours_only.values_list("exec_id", "order__order_ref"):
        if exec_id in theirs and world.truth["executions"][exec_id]["order_ref"] != ref:
            yield Violation("I4", f"exec:{exec_id}", f"an execution of another order was booked for {ref}")


def check_i5(world: World) -> Found:
    """Holdings are equal per contract, and the broker's cash is what our fills and their costs make of it."""
    theirs = {int(con_id): Decimal(row["quantity"]) for con_id, row in world.truth["positions"].items()}
    ours = booked(world.account)
    for con_id in sorted(theirs.keys() | ours.keys()):
        if theirs.get(con_id, ZERO) != ours.get(con_id, ZERO):
            facts = f"the broker holds {theirs.get(con_id, ZERO)}, our fills {ours.get(con_id, ZERO)}"
            yield Violation("I5", f"position:{con_id}", facts)
    fills = Fill.objects.filter(account=world.account, superseded=False)
    spent = sum((_paid(fill) for fill in fills), ZERO)
    cash = Decimal(world.truth["cash"]["USD"])
    if abs(world.cash_start - spent - cash) > CENT:
        yield Violation(
            "I5", f"cash:{world.account}", f"by our fills {world.cash_start - spent}, the broker has {cash}"
        )
    yield from _renamed("I5", invariants.trades_from_fills(_terms(world)))


def _paid(fill: Fill) -> Decimal:
    value: Decimal = fill.quantity * fill.price
    return (value if fill.side == "BUY" else -value) + (fill.commission or ZERO)


def check_i6(world: World) -> Found:
    """States move along the graph, the end is the end, and nothing fills above its quantity unnoticed."""
    yield from _renamed("I6", invariants.lives(_terms(world)))
    yield from _renamed("I6", invariants.quantities(_terms(world)))


def check_i7(world: World) -> Found:
    """One event a transition, in its transaction, and the chain holds from the first row to the head."""
    verdict = verify_chain([])
    if not verdict.ok:
        yield Violation("I7", f"event:{verdict.bad_seq}", verdict.reason)
    filled = Counter(Event.objects.filter(type__in=("FILL_BOOKED", "FILL_CORRECTED")).values_list("subject", flat=True))
    booked_rows = {f"fill:{exec_id}" for exec_id in Fill.objects.values_list("exec_id", flat=True)}
    for subject in sorted(booked_rows ^ set(filled)):
        if subject.startswith("fill:"):
            yield Violation("I7", subject, "a fill without its event, or an event without its fill")


def check_i8(world: World) -> Found:
    """The live reader saw every event once and in order, across all crashes."""
    if world.seen is None:
        return
    head = AuditHead.objects.get(pk=1).seq
    for expected, seq in enumerate(world.seen, start=1):
        if seq != expected:
            yield Violation("I8", f"event:{expected}", f"the reader saw {seq} in its place")
            return
    if len(world.seen) != head:
        yield Violation("I8", f"event:{head}", f"the reader saw {len(world.seen)} of {head}")


def check_i9(world: World) -> Found:
    """After a halt is in force nothing that increases risk leaves."""
    halts = Event.objects.filter(type="HALT_CHANGED").order_by("seq").values_list("at", "new_state")
    spans: list[tuple[datetime, datetime]] = []
    since = world.halted_at
    for at, state in halts:
        if state == "HALTED":
            since = since or at
        elif since is not None and since < at:
            spans, since = [*spans, (since, at)], None
    spans += [(since, datetime.max.replace(tzinfo=UTC))] if since is not None else []
    risky = set(Order.objects.filter(role=Role.ENTRY).values_list("order_ref", flat=True))
    for frame in world.frames:
        if frame.name == "placeOrder" and frame.ref in risky:
            for begin, end in spans:
                if begin + HALT_LIMIT < frame.at < end:
                    yield Violation("I9", f"order:{frame.ref}", f"a frame {frame.at - begin} after the halt")


def check_i10(world: World) -> Found:
    """The same key and body is told the same, and has led to one order."""
    told: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for answer in world.answers:
        told[answer.client, answer.key, answer.body_hash].add(answer.told)
    for (client, key, _), answers in told.items():
        if len(answers) > 1:
            yield Violation("I10", f"request:{client}/{key}", f"told {len(answers)} answers: {sorted(answers)}")
    for request in OrderRequest.objects.filter(kind="place").prefetch_related("orders"):
        groups = {order.group for order in request.orders.all()}
        if len(groups) > 1:
            yield Violation("I10", f"request:{request.pk}", f"led to {sorted(groups)}")
    yield from _renamed("I10", invariants.one_order_a_cause(_terms(world)))


def check_i11(world: World) -> Found:
    """Nothing is uncertain for a minute (by the pace) without an open discrepancy."""
    yield from _renamed("I11", invariants.unresolved(_terms(world)))


def check_i12(world: World) -> Found:
    """A worker whose work was taken over wrote nothing, and its frames did not leave."""
    yield from _renamed("I12", invariants.epochs(_terms(world)))
    claims = Event.objects.filter(type__in=invariants.CLAIMS).values_list("subject", "at", "cause")
    by_ref = {order.order_ref: (order.work, order.epoch) for order in invariants.written_orders()}
    # From its record on a frame is the owner's, who may be stopped before the first byte: the record is what counts.
    recorded = dict(Submission.objects.filter(revision=0, state="SENT").values_list("order_ref", "created_at"))
    for ref in world.places():
        subject, epoch = by_ref.get(ref, ("", 0))
        later = [at for claimed, at, cause in claims if claimed == subject and int(cause.rpartition(" ")[2]) > epoch]
        if later and ref in recorded and min(later) < recorded[ref]:
            yield Violation(
                "I12", f"order:{ref}", f"its frame was recorded at {recorded[ref]}, a later epoch began {min(later)}"
            )


def check_i13(world: World) -> Found:
    """Every question that reached the model's provider is on record as paid."""
    calls = ModelCall.objects.count()
    if world.provider_calls is not None and calls < world.provider_calls:
        yield Violation("I13", "model:calls", f"{calls} on record, the provider was asked {world.provider_calls} times")


def check_cancel(world: World) -> Found:
    """A cancel that was accepted is not forgotten: its order has ended, its wish is open, or a person has been told.

    No cell disables orders or changes the account, by which alone a wish may end while its order works on.
    """
    wishes = OrderChange.objects.filter(kind="cancel").exclude(order__state__in=TERMINAL).select_related("order")
    told = set(Discrepancy.objects.filter(state="OPEN").values_list("order_id", flat=True))
    for wish in wishes.exclude(state__in=OPEN_CHANGE).exclude(order__in=told - {None}):
        facts = f"its cancel {wish.pk} is {wish.state} ({wish.reason}), and it is {wish.order.state}"
        yield Violation("cancel", f"order:{wish.order.order_ref}", facts)


def check_i14(world: World) -> Found:
    """Recovery run once more changes nothing but what a person had been handed as unproven: a look may prove it."""
    if world.before is None:
        return
    after = rows()
    free = {key for key, row in world.before.items() if _handed(key, row)}
    for key in sorted((world.before.keys() | after.keys()) - free):
        was, found = world.before.get(key, {}), after.get(key, {})
        if was != found:
            changed = [name for name in was.keys() | found.keys() if was.get(name) != found.get(name)]
            told = {name: (was.get(name), found.get(name)) for name in sorted(changed)}
            yield Violation("I14", key, f"was and is {told}")


def _handed(key: str, row: Mapping[str, Any]) -> bool:
    """An order that was unproven, or the difference by which a person had been told of one."""
    if key.startswith("order:"):
        return row["state"] in UNPROVEN
    return key.startswith("discrepancy:") and row["state"] == "OPEN" and str(row["subject"]).startswith("order:")


def check_naked(world: World) -> Found:
    """What we hold is covered by stops that work at the broker; else a person has been told."""
    told = set(
        Discrepancy.objects.filter(kind__in=("naked", "position"), state="OPEN").values_list(
            "instrument__con_id", flat=True
        )
    )
    for con_id, row in world.truth["positions"].items():
        held = Decimal(row["quantity"])
        if not held or int(con_id) in told or not _is_ours(world.account, int(con_id)):
            continue
        closing = "SELL" if held > 0 else "BUY"
        stops = [
            Decimal(order["remaining"])
            for order in world.orders.values()
            if order["con_id"] == int(con_id)
            and order["action"] == closing
            and order["status"] in WORKING
            and order["order_type"] in ("STP", "STP LMT", "TRAIL")
        ]
        if sum(stops, ZERO) < abs(held):
            yield Violation("naked", f"position:{con_id}", f"{held} held, {sum(stops, ZERO)} covered")
    yield from _parents_without_stop(world)


def _is_ours(account: str, con_id: int) -> bool:
    return Order.objects.filter(
        account=account, role=Role.ENTRY, instrument__con_id=con_id, filled_quantity__gt=0
    ).exists()


def _parents_without_stop(world: World) -> Found:
    """No entry may work or fill whose stop never reached the broker."""
    refs = {order["order_ref"] for order in world.orders.values()}
    entries = set(Order.objects.filter(role=Role.ENTRY).values_list("order_ref", "group"))
    by_ref = dict(entries)
    for order in world.orders.values():
        ref = order["order_ref"]
        if ref in by_ref and f"{by_ref[ref]}-S" not in refs:
            alive = order["status"] in ("Submitted", "PreSubmitted") or Decimal(order["filled"])
            if alive:
                yield Violation("naked", f"order:{ref}", f"{order['status']} at the broker without its stop")


def check_work(world: World) -> Found:
    """No work is left claimed or free: what was begun has ended."""
    for model in (Execution, Dispatch):
        for row in model._default_manager.filter(state__in=("QUEUED", "RUNNING", "WAITING")):
            yield Violation("work", f"{model._meta.model_name}:{row.pk}", f"still {row.state}")


def _terms(world: World) -> Terms:
    return Terms(GRAPH, world.now, timedelta(seconds=60 * world.factor))


def _renamed(rule: str, found: Iterator[Violation]) -> Found:
    for violation in found:
        yield Violation(rule, violation.subject, violation.detail)


CHECKS: dict[str, Callable[[World], Found]] = {
    "I1": check_i1,
    "I2": check_i2,
    "I3": check_i3,
    "I4": check_i4,
    "I5": check_i5,
    "I6": check_i6,
    "I7": check_i7,
    "I8": check_i8,
    "I9": check_i9,
    "I10": check_i10,
    "I11": check_i11,
    "I12": check_i12,
    "I13": check_i13,
    "I14": check_i14,
    "cancel": check_cancel,
    "naked": check_naked,
    "work": check_work,
}


def judge(world: World) -> list[Violation]:
    """Every break of every invariant; empty where all is well."""
    return [violation for check in CHECKS.values() for violation in check(world)]
