"""The front door of research: the functions its callers use; heavy parts load on first use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import cast

from research.types import (
    OHLCV,
    Analyst,
    AnswerAgain,
    IndicatorParameters,
    Indicators,
    ModelCallRecord,
    ModelSettings,
)

_ANALYSTS = Path(__file__).parent / "analysts"


def analyst_names() -> list[str]:
    """The names of the analysts there are: the files of the folder."""
    return sorted(path.stem for path in _ANALYSTS.glob("*.py") if not path.stem.startswith("_"))


def indicators(bars: OHLCV, parameters: IndicatorParameters | None = None) -> Indicators:
    """The indicators of each bar; see `research.indicators.compute`."""
    from research.indicators import compute

    return compute(bars, parameters or IndicatorParameters())


def analyst(name: str, settings: ModelSettings | None = None, *, correlation_id: str = "", cycle: str = "") -> Analyst:
    """The analyst of that name; LookupError names the ones there are, ValueError what it lacks.

    `correlation_id` is stored with each paid call; calls of one `cycle` share `settings.budget_per_cycle`.
    """
    if name not in analyst_names():
        raise LookupError(f"no analyst {name!r}; there are {', '.join(analyst_names())}")
    module = import_module(f"research.analysts.{name}")
    return cast("Analyst", module.create(settings, correlation_id, cycle))


def render_chart(
    bars: OHLCV,
    parameters: IndicatorParameters | None = None,
    title: str = "",
    *,
    as_of: datetime | None = None,
    indicators: Indicators | None = None,
) -> bytes:
    """A chart as PNG; see `research.charts.render`."""
    from research.charts import render

    return render(bars, parameters or IndicatorParameters(), title, as_of, indicators)


def model_calls(ids: Iterable[int]) -> list[ModelCallRecord]:
    """The stored calls with these ids, oldest first: prompts, requests, image hashes, answers, money."""
    from research.services import records

    return records(ids)


def ask_again(
    record: ModelCallRecord, images: Mapping[str, bytes], settings: ModelSettings, *, correlation_id: str
) -> AnswerAgain:
    """Put a stored question to its model again; the calls are paid from the day's budget and one of their own.

    `images` are the pictures it showed by SHA-256. The answer is never that of a later question. ValueError says why
    the question cannot be put.
    """
    from research.llm import again
    from research.services import DatabaseLedger

    problem = again.endpoint_problem(record, settings)
    if problem:
        raise ValueError(problem)
    ledger = DatabaseLedger(correlation_id, correlation_id, settings.budget_per_day, settings.budget_per_cycle)
    return again.ask_again(record, images, settings, ledger, correlation_id)


def answer_again(record: ModelCallRecord, answer: ModelCallRecord | None = None) -> AnswerAgain:
    """A stored answer judged by the checks of today, without the model; see `research.llm.again.answer_again`."""
    from research.llm import again

    return again.answer_again(record, answer)
