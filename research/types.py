"""The frozen types that cross the seam between research and its callers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FloatArray = npt.NDArray[np.float64]
Direction = Literal["bullish", "bearish", "neutral"]
OpinionType = Literal["buy", "sell", "hold"]
Side = Literal["flat", "long", "short"]
T = TypeVar("T")


@runtime_checkable
class OHLCV(Protocol):
    """Bars, oldest first: arrays of one length, `time` as datetime64 or objects, the rest as float64."""

    @property
    def symbol(self) -> str: ...
    @property
    def bar_size(self) -> str: ...
    @property
    def time(self) -> npt.NDArray[Any]: ...
    @property
    def open(self) -> FloatArray: ...
    @property
    def high(self) -> FloatArray: ...
    @property
    def low(self) -> FloatArray: ...
    @property
    def close(self) -> FloatArray: ...
    @property
    def volume(self) -> FloatArray: ...


@dataclass(frozen=True, slots=True)
class IndicatorParameters:
    """Lengths in bars and widths in standard deviations or ATRs; a value out of range raises ValueError."""

    supertrend_period: int = 10
    supertrend_multiplier: float = 3.0
    sma_fast: int = 20
    sma_medium: int = 50
    sma_slow: int = 200
    macd_fast: int = 12
    macd_slow: int = 26
    macd_signal: int = 9
    rsi_period: int = 14
    bollinger_period: int = 20
    bollinger_width: float = 2.0
    atr_period: int = 14
    volume_period: int = 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if name in {"supertrend_multiplier", "bollinger_width"}:
                if not (math.isfinite(value) and 0 < value <= 100):
                    raise ValueError(f"{name} must lie between 0 and 100, not {value!r}")
            elif isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= 1000:
                raise ValueError(f"{name} must be a whole number from 2 to 1000, not {value!r}")
        if self.macd_fast >= self.macd_slow:
            raise ValueError("macd_fast must be shorter than macd_slow")


@dataclass(frozen=True, slots=True)
class Indicators:
    """One value a bar; NaN (trend: 0) where the bars do not suffice. `trend` is +1 up, -1 down."""

    parameters: IndicatorParameters
    supertrend: FloatArray
    trend: FloatArray
    sma_fast: FloatArray
    sma_medium: FloatArray
    sma_slow: FloatArray
    macd: FloatArray
    macd_signal: FloatArray
    macd_histogram: FloatArray
    rsi: FloatArray
    bollinger_upper: FloatArray
    bollinger_middle: FloatArray
    bollinger_lower: FloatArray
    atr: FloatArray
    volume_average: FloatArray

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the arrays."""
        return tuple(name for name in cls.__slots__ if name != "parameters")

    def at(self, index: int) -> dict[str, float | None]:
        """All values at one bar, by name; None where there is none yet."""
        values = {name: float(getattr(self, name)[index]) for name in self.names()}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no opinion: a stable code for programs and one sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class TimeframeInput:
    """What an analyst is given about one timeframe; `chart` is the PNG, needed by an analyst with `needs_charts`.

    `as_of` is the market time of the question (aware UTC); `evidence_id` is the id by which answers may cite this;
    `ordinal` counts the timeframes of a workflow from 1.
    """

    period: str
    bars: OHLCV
    indicators: Indicators
    as_of: datetime
    evidence_id: str = ""
    chart: bytes | None = field(default=None, repr=False)
    ordinal: int = 1

    @property
    def citation(self) -> str:
        """The id under which this input is cited."""
        return self.evidence_id or f"chart:{self.bars.bar_size}"


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one analyst sees in one timeframe. `strength` runs from 0 to 1; levels are prices, nearest first."""

    symbol: str
    period: str
    bar_size: str
    direction: Direction
    strength: float
    supports: tuple[float, ...]
    resistances: tuple[float, ...]
    atr: float | None
    last_close: float | None
    summary: str
    facts: Mapping[str, float | None]
    decided_by: str
    evidence: tuple[str, ...] = ()
    failure: Failure | None = None

    def as_json(self) -> dict[str, Any]:
        """A JSON-safe document from which `from_json` makes the same analysis."""
        return _document(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Analysis:
        return cls(**_read_common(document))


@dataclass(frozen=True, slots=True)
class Consolidation:
    """All timeframes of one symbol taken together; it carries the first failure of its parts."""

    symbol: str
    analyses: tuple[Analysis, ...]
    direction: Direction
    strength: float
    supports: tuple[float, ...]
    resistances: tuple[float, ...]
    atr: float | None
    summary: str
    facts: Mapping[str, float | None]
    decided_by: str
    failure: Failure | None = None

    @property
    def evidence(self) -> tuple[str, ...]:
        """The ids that a decision on these analyses may cite, in order."""
        return tuple(dict.fromkeys(cited for analysis in self.analyses for cited in analysis.evidence))

    def as_json(self) -> dict[str, Any]:
        """A JSON-safe document from which `from_json` makes the same consolidation."""
        return _document(self) | {"analyses": [analysis.as_json() for analysis in self.analyses]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Consolidation:
        analyses = tuple(Analysis.from_json(part) for part in document["analyses"])
        return cls(**_read_common(document) | {"analyses": analyses})


@dataclass(frozen=True, slots=True)
class PositionContext:
    """What is held of the symbol when the decision is asked for."""

    side: Side = "flat"
    quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """An analyst's proposal; risk rules judge it later. Margin and R are ratios (0.05 = 5 %), None for a hold."""

    symbol: str
    type: OpinionType
    current_price: Decimal | None
    target_price: Decimal | None
    stop_loss: Decimal | None
    profit_margin: Decimal | None
    r_coefficient: Decimal | None
    confidence: float
    rationale: str
    evidence: tuple[str, ...]
    reason: str
    detail: str
    decided_by: str
    strategy_used: str

    def as_json(self) -> dict[str, Any]:
        """A JSON-safe document; prices and ratios are strings."""
        return _document(self)

    @classmethod
    def hold(
        cls, symbol: str, *, reason: str, detail: str, decided_by: str, price: Decimal | None = None,
        strategy_used: str = "", evidence: tuple[str, ...] = (), confidence: float = 0.0,
    ) -> Opinion:  # fmt: skip
        """A hold with its stable reason code and the sentence behind it."""
        return cls(
            symbol=symbol, type="hold", current_price=price, target_price=None, stop_loss=None, profit_margin=None,
            r_coefficient=None, confidence=confidence, rationale=detail, evidence=evidence, reason=reason,
            detail=detail, decided_by=decided_by, strategy_used=strategy_used,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelCallRecord:
    """One question to a model and its answer. `call_id` is the stored ModelCall; `cached` = answered by an older call.

    `request` holds each image as its SHA-256 in place of its bytes.
    """

    purpose: str
    prompt_name: str
    prompt_version: str
    prompt_hash: str
    model: str
    parameters: Mapping[str, Any]
    input_hashes: Mapping[str, str]
    images: tuple[str, ...]
    request: str
    answer: str
    tokens_in: int
    tokens_out: int
    cost: Decimal
    latency_ms: int
    finish_reason: str
    error: str
    call_id: int | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class AnswerAgain:
    """What came of a stored question: the accepted answer as a document, or why there is none, and what was paid."""

    purpose: str
    document: Mapping[str, Any] | None
    failure: Failure | None
    calls: tuple[ModelCallRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class AnalystResult(Generic[T]):
    """A value and the model calls that led to it, in order (none for rules)."""

    value: T
    calls: tuple[ModelCallRecord, ...] = ()

    @property
    def call_ids(self) -> list[int]:
        """The ids of the stored ModelCall rows."""
        return [call.call_id for call in self.calls if call.call_id is not None]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How to reach a model and what it may cost; prices are USD for one million tokens, (input, output)."""

    base_url: str
    api_key: str = field(repr=False)
    model: str
    timeout_s: float = 60.0
    max_answer_bytes: int = 256_000
    max_output_tokens: int = 2_000
    temperature: float | None = None
    repair_rounds: int = 2
    budget_per_day: Decimal = Decimal("5")
    budget_per_cycle: Decimal | None = None
    price_per_million: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)

    def with_model(self, model: str) -> ModelSettings:
        """The same settings for another model."""
        return replace(self, model=model)


class Analyst(Protocol):
    """One mind: sees each timeframe, joins what it saw, then proposes. It never raises for what it cannot judge."""

    decided_by: str
    needs_charts: bool

    def analyze(self, timeframe: TimeframeInput) -> AnalystResult[Analysis]: ...

    def consolidate(self, analyses: tuple[Analysis, ...]) -> AnalystResult[Consolidation]: ...

    def decide(
        self, consolidation: Consolidation, quote_price: Decimal, position: PositionContext, strategy_used: str = ""
    ) -> AnalystResult[Opinion]: ...


def price_of(value: float) -> Decimal:
    """A level as a price: to the cent, below 1 to the hundredth of a cent. The instrument's tick rules come later."""
    step = Decimal("0.01") if abs(value) >= 1 else Decimal("0.0001")
    return Decimal(repr(float(value))).quantize(step, rounding=ROUND_HALF_EVEN)


def ratio_of(value: Decimal) -> Decimal:
    """A ratio with four places."""
    return value.quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN)


def _document(record: DataclassInstance) -> dict[str, Any]:
    names = [part.name for part in fields(record)]
    return {name: _plain(getattr(record, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Failure):
        return {"code": value.code, "detail": value.detail}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value if not isinstance(part, Analysis)]
    return value


def _read_common(document: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(document)
    for name in ("supports", "resistances", "evidence"):
        if name in values:
            values[name] = tuple(values[name])
    failure = values.get("failure")
    values["failure"] = Failure(**failure) if failure else None
    return values
