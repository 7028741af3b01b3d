"""Money for model calls: reserved before, settled after, never passed however many ask at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection

from research import services
from research.llm.budget import BudgetExhausted, CallDraft, CallOutcome, cost, estimate
from research.llm.prompts import prompt
from research.models import ModelBudget, ModelCall
from research.services import DatabaseLedger
from research.types import ModelSettings
from tests.research.openai_server import LoopbackModelServer, says
from tests.research.test_model import SOUND, decided


def draft(reserved: str = "0.1000", key: str = "k") -> CallDraft:
    return CallDraft("decision", prompt("decide"), "m", {}, {}, (), "[]", key, Decimal(reserved))


def outcome(paid: str, error: str = "") -> CallOutcome:
    return CallOutcome("{}", "stop", 10, 5, Decimal(paid), 12, error, {})


def ledger(per_day: str = "1.0000", cycle: str = "", per_cycle: str | None = None) -> DatabaseLedger:
    return DatabaseLedger("corr", cycle, Decimal(per_day), None if per_cycle is None else Decimal(per_cycle))


TODAY = "day:2024-01-02"


@pytest.fixture(autouse=True)
def one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """No midnight comes between a call and the look at what its day has cost."""
    monkeypatch.setattr(services, "system_now", lambda: datetime(2024, 1, 2, 23, 59, 59, tzinfo=UTC))


@pytest.mark.django_db
def test_a_call_reserves_and_then_settles_once() -> None:
    book = ledger()
    call = book.open(draft("0.1000"))
    assert services.committed(TODAY) == Decimal("0.1000")
    book.close(call, outcome("0.0123"))
    book.close(call, outcome("0.0500"))
    assert services.committed(TODAY) == Decimal("0.0123")
    assert ModelCall.objects.get(pk=call).cost == Decimal("0.0123")


@pytest.mark.django_db
def test_a_call_found_open_counts_as_spent() -> None:
    book = ledger("0.1500")
    book.open(draft("0.1000"))
    with pytest.raises(BudgetExhausted, match="day"):
        book.open(draft("0.1000"))
    assert ModelCall.objects.count() == 1


@pytest.mark.django_db
def test_the_last_cent_can_be_spent_and_small_sums_add_up_exactly() -> None:
    book = ledger("1.0000")
    for _ in range(10):
        book.open(draft("0.1000"))
    with pytest.raises(BudgetExhausted):
        book.open(draft("0.0001"))
    for call in ModelCall.objects.all():
        book.close(call.pk, outcome("0.0000"))
    assert services.committed(TODAY) == 0


@pytest.mark.django_db
def test_a_cycle_has_its_own_budget_and_a_refusal_reserves_nothing() -> None:
    book = ledger("1.0000", cycle="c1", per_cycle="0.1500")
    book.open(draft("0.1000"))
    with pytest.raises(BudgetExhausted, match="cycle:c1"):
        book.open(draft("0.1000"))
    assert services.committed(TODAY) == Decimal("0.1000")
    ledger("1.0000", cycle="c2", per_cycle="0.1500").open(draft("0.1000"))
    assert services.committed("cycle:c2") == Decimal("0.1000")


@pytest.mark.django_db
def test_only_accepted_answers_are_given_again() -> None:
    book = ledger()
    book.close(book.open(draft(key="bad")), outcome("0.01", error="schema_invalid: no"))
    good = book.open(draft(key="good"))
    assert book.stored_answer("good") is None
    book.close(good, outcome("0.01"))
    stored = book.stored_answer("good")
    assert stored
    assert stored.call_id == good
    assert book.stored_answer("bad") is None


@pytest.mark.django_db(transaction=True)
def test_fifty_calls_at_once_do_not_pass_the_budget() -> None:
    def one(number: int) -> bool:
        try:
            ledger("1.0000").open(draft("0.0900", key=str(number)))
        except BudgetExhausted:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(10) as pool:
        granted = sum(pool.map(one, range(50)))
    assert granted == 11
    assert services.committed(TODAY) == Decimal("0.9900")
    assert ModelCall.objects.count() == 11
    assert ModelBudget.objects.count() == 1


@pytest.mark.django_db
def test_a_spent_budget_is_a_hold_and_asks_nobody(server: LoopbackModelServer, model_settings: ModelSettings) -> None:
    result = decided(replace(model_settings, budget_per_day=Decimal("0.0010")))
    assert (result.value.type, result.value.reason) == ("hold", "budget_exhausted")
    assert result.calls == ()
    assert server.questions == []


@pytest.mark.django_db
def test_the_cycle_budget_of_the_settings_holds(server: LoopbackModelServer, model_settings: ModelSettings) -> None:
    result = decided(replace(model_settings, budget_per_cycle=Decimal("0.0010")), cycle="c9")
    assert result.value.reason == "budget_exhausted"


@pytest.mark.django_db
def test_an_answer_without_usage_costs_what_was_reserved(
    server: LoopbackModelServer, model_settings: ModelSettings
) -> None:
    server.script = [says(SOUND, usage=False)]
    call = decided(model_settings).calls[0]
    assert call.cost == ModelCall.objects.get().reserved > Decimal("0.0150")


def test_costs_are_rounded_up_and_an_unknown_model_is_dear() -> None:
    known = ModelSettings("", "", "m", price_per_million={"m": (Decimal(1), Decimal(2))})
    assert cost(known, 1, 0) == Decimal("0.0001")
    assert cost(known, 1_000_000, 1_000_000) == Decimal("3.0000")
    assert cost(known.with_model("other"), 1_000_000, 1_000_000) == Decimal("40.0000")
    assert estimate(known, 3000, 2) == cost(known, 7200, 2000)
