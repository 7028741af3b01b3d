"""What a call costs, and the ledger it must be written in before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

from research.llm.prompts import Prompt
from research.types import ModelSettings

UNKNOWN_PRICE = (Decimal(10), Decimal(30))
MILLION = Decimal(1_000_000)
STEP = Decimal("0.0001")
TOKENS_PER_IMAGE = 3_000
CHARACTERS_PER_TOKEN = 3
OVERHEAD_TOKENS = 200


class BudgetExhausted(Exception):
    """The money for this call is not there; it must not be made."""


@dataclass(frozen=True, slots=True)
class CallDraft:
    """A call about to be made, with the most it should cost."""

    purpose: str
    prompt: Prompt
    model: str
    parameters: Mapping[str, Any]
    input_hashes: Mapping[str, str]
    images: tuple[str, ...]
    request: str
    cache_key: str
    reserved: Decimal


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended; `error` is empty where the answer was accepted."""

    answer: str
    finish_reason: str
    tokens_in: int
    tokens_out: int
    cost: Decimal
    latency_ms: int
    error: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The accepted answer of an older call."""

    call_id: int
    answer: str
    finish_reason: str
    tokens_in: int
    tokens_out: int


class Ledger(Protocol):
    """Reserves before a call, settles after it, and remembers."""

    def stored_answer(self, cache_key: str) -> StoredAnswer | None: ...

    def is_interrupted(self) -> bool: ...

    def open(self, draft: CallDraft) -> int: ...

    def close(self, call_id: int, outcome: CallOutcome) -> None: ...


def estimate(settings: ModelSettings, characters: int, images: int) -> Decimal:
    """The most a call should cost in USD: generous tokens in, the longest answer out, rounded up."""
    tokens_in = characters // CHARACTERS_PER_TOKEN + images * TOKENS_PER_IMAGE + OVERHEAD_TOKENS
    return cost(settings, tokens_in, settings.max_output_tokens)


def cost(settings: ModelSettings, tokens_in: int, tokens_out: int) -> Decimal:
    """USD for tokens, rounded up to what a money field stores; an unknown model has a high price."""
    price_in, price_out = settings.price_per_million.get(settings.model, UNKNOWN_PRICE)
    exact = (tokens_in * price_in + tokens_out * price_out) / MILLION
    return exact.quantize(STEP, rounding=ROUND_CEILING)
