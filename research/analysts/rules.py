"""The deterministic analyst `rules-v1`: trend and momentum votes, targets and stops from levels and ATR.

Its rules are written down in docs/rules-analyst.md; a change of a rule or a constant is a new version.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from research.levels import levels, merge
from research.measure import profit_margin, r_coefficient
from research.types import (
    OHLCV,
    Analysis,
    AnalystResult,
    Consolidation,
    Direction,
    Failure,
    IndicatorParameters,
    ModelSettings,
    Opinion,
    PositionContext,
    TimeframeInput,
    price_of,
)

WEIGHTS = {"supertrend": 0.35, "averages": 0.25, "macd": 0.20, "rsi": 0.20}
LEAST_WEIGHT = 0.6
TIMEFRAME_THRESHOLD = 0.25
DECISION_THRESHOLD = 0.40
FIRST_TIMEFRAME_WEIGHT = 0.6
RSI_EXHAUSTED = 75.0
STOP_NEAREST_ATR = 1.0
STOP_FARTHEST_ATR = 4.0
STOP_BUFFER_ATR = 0.25
STOP_DEFAULT_ATR = 2.5
TARGET_NEAREST_ATR = 2.0
TARGET_DEFAULT_LONG_ATR = 2.0
QUOTE_OFF_BARS = 0.20
FACTS = ("supertrend", "trend", "sma_medium", "sma_slow", "macd_histogram", "rsi", "bollinger_upper",
         "bollinger_lower", "atr")  # fmt: skip


class RulesAnalyst:
    """Says the same of the same bars, always; asks nobody."""

    decided_by = "rules-v1"
    needs_charts = False

    def analyze(self, timeframe: TimeframeInput) -> AnalystResult[Analysis]:
        """Votes of SuperTrend, averages, MACD and RSI on one timeframe; a failure where the bars cannot bear it."""
        problem = bars_problem(timeframe.bars)
        if problem:
            return AnalystResult(self._failed(timeframe, Failure("data_invalid", problem)))
        last = timeframe.indicators.at(-1)
        votes = _votes(last, float(timeframe.bars.close[-1]))
        weight = sum(WEIGHTS[name] for name in votes)
        if weight < LEAST_WEIGHT or not last["atr"]:
            detail = f"{len(timeframe.bars.close)} bars of {timeframe.bars.bar_size} do not suffice for the indicators"
            return AnalystResult(self._failed(timeframe, Failure("insufficient_bars", detail)))
        score = sum(WEIGHTS[name] * vote for name, vote in votes.items()) / weight
        return AnalystResult(self._analysis(timeframe, last, votes, score))

    def consolidate(self, analyses: tuple[Analysis, ...]) -> AnalystResult[Consolidation]:
        """The first timeframe weighs 60 %, the others share the rest; opposite directions are neutral."""
        if not analyses:
            raise ValueError("there is no analysis to consolidate")
        failure = next((analysis.failure for analysis in analyses if analysis.failure), None)
        score = 0.0 if failure else _combined_score(analyses)
        directions = {analysis.direction for analysis in analyses}
        conflict = {"bullish", "bearish"} <= directions
        direction = "neutral" if conflict else _direction(score, DECISION_THRESHOLD)
        atr = analyses[0].atr
        consolidation = Consolidation(
            symbol=analyses[0].symbol,
            analyses=analyses,
            direction=direction,
            strength=round(abs(score), 4),
            supports=_joined(analyses, "supports", atr),
            resistances=_joined(analyses, "resistances", atr),
            atr=atr,
            summary=_consolidated_summary(analyses, direction, score, failure),
            facts={"score": round(score, 4), "conflict": float(conflict), "atr_long": analyses[-1].atr},
            decided_by=self.decided_by,
            failure=failure,
        )
        return AnalystResult(consolidation)

    def decide(
        self, consolidation: Consolidation, quote_price: Decimal, position: PositionContext, strategy_used: str = ""
    ) -> AnalystResult[Opinion]:
        """A buy or sell with its levels, or a hold with its reason; what is held does not change the view."""
        failure = consolidation.failure or _quote_problem(consolidation, quote_price) or _no_entry(consolidation)
        if failure:
            held = Opinion.hold(
                consolidation.symbol,
                reason=failure.code,
                detail=failure.detail,
                decided_by=self.decided_by,
                price=quote_price if quote_price.is_finite() and quote_price > 0 else None,
                strategy_used=strategy_used,
                evidence=consolidation.evidence,
                confidence=consolidation.strength,
            )
            return AnalystResult(held)
        return AnalystResult(self._proposal(consolidation, quote_price, strategy_used))

    def _proposal(self, consolidation: Consolidation, price: Decimal, strategy_used: str) -> Opinion:
        buying = consolidation.direction == "bullish"
        target, stop = (price_of(level) for level in _target_and_stop(consolidation, float(price), buying))
        if target <= 0:
            detail = f"the target {target} is no price"
            return Opinion.hold(
                consolidation.symbol, reason="no_target", detail=detail, decided_by=self.decided_by, price=price,
                strategy_used=strategy_used, evidence=consolidation.evidence,
            )  # fmt: skip
        return Opinion(
            symbol=consolidation.symbol,
            type="buy" if buying else "sell",
            current_price=price,
            target_price=target,
            stop_loss=stop,
            profit_margin=profit_margin(price, target),
            r_coefficient=r_coefficient(price, target, stop),
            confidence=consolidation.strength,
            rationale=f"{consolidation.summary} Target {target}, stop {stop} from levels and ATR.",
            evidence=consolidation.evidence,
            reason="",
            detail="",
            decided_by=self.decided_by,
            strategy_used=strategy_used,
        )

    def _analysis(
        self, timeframe: TimeframeInput, last: Mapping[str, float | None], votes: Mapping[str, float], score: float
    ) -> Analysis:
        bars = timeframe.bars
        close = float(bars.close[-1])
        direction = _direction(score, TIMEFRAME_THRESHOLD)
        supports, resistances = levels(bars, timeframe.indicators)
        reasons = _reasons(last, votes, timeframe.indicators.parameters)
        facts: dict[str, float | None] = {"score": round(score, 4), "close": close}
        facts |= {name: last[name] for name in FACTS}
        return Analysis(
            symbol=bars.symbol,
            period=timeframe.period,
            bar_size=bars.bar_size,
            direction=direction,
            strength=round(abs(score), 4),
            supports=supports,
            resistances=resistances,
            atr=last["atr"],
            last_close=close,
            summary=f"{bars.symbol} {bars.bar_size}: {direction} ({score:+.2f}); {reasons}.",
            facts=facts,
            decided_by=self.decided_by,
            evidence=(timeframe.citation,),
        )

    def _failed(self, timeframe: TimeframeInput, failure: Failure) -> Analysis:
        return Analysis(
            symbol=timeframe.bars.symbol, period=timeframe.period, bar_size=timeframe.bars.bar_size,
            direction="neutral", strength=0.0, supports=(), resistances=(), atr=None, last_close=None,
            summary=f"{timeframe.bars.symbol} {timeframe.bars.bar_size}: {failure.detail}.", facts={},
            decided_by=self.decided_by, evidence=(timeframe.citation,), failure=failure,
        )  # fmt: skip


def create(settings: ModelSettings | None, correlation_id: str, cycle: str) -> RulesAnalyst:
    """The analyst of this file, for the registry; it needs none of what a model needs."""
    return RulesAnalyst()


def bars_problem(bars: OHLCV) -> str:
    """One sentence about bars that nobody should judge, empty where they are sound."""
    prices = (bars.open, bars.high, bars.low, bars.close)
    if len(bars.close) == 0:
        return "there are no bars"
    if any(not np.isfinite(part).all() for part in prices):
        return "a bar has a missing price"
    if any((part <= 0).any() for part in prices):
        return "a bar has a price of zero or less"
    if (bars.high < bars.low).any():
        return "a bar has a high below its low"
    return ""


def _votes(last: Mapping[str, float | None], close: float) -> dict[str, float]:
    """-1 to 1 for each indicator that has a value; with too few bars for the slow average the medium one is used."""
    votes: dict[str, float] = {}
    if last["trend"]:
        votes["supertrend"] = last["trend"]
    medium, slow = last["sma_medium"], last["sma_slow"]
    if medium is not None:
        votes["averages"] = _sign(medium - slow) if slow is not None else _sign(close - medium)
    if last["macd_histogram"] is not None:
        votes["macd"] = _sign(last["macd_histogram"])
    if last["rsi"] is not None:
        votes["rsi"] = max(-1.0, min(1.0, (last["rsi"] - 50.0) / 20.0))
    return votes


def _reasons(last: Mapping[str, float | None], votes: Mapping[str, float], parameters: IndicatorParameters) -> str:
    words = []
    if "supertrend" in votes:
        words.append(f"SuperTrend {'up' if votes['supertrend'] > 0 else 'down'}")
    if "averages" in votes:
        medium, slow = f"SMA {parameters.sma_medium}", f"SMA {parameters.sma_slow}"
        pair = (medium, slow) if last["sma_slow"] is not None else ("close", medium)
        words.append(f"{pair[0]} {'above' if votes['averages'] > 0 else 'not above'} {pair[1]}")
    if "macd" in votes:
        words.append(f"MACD histogram {last['macd_histogram']:+.2f}")
    if "rsi" in votes:
        words.append(f"RSI {last['rsi']:.1f}")
    return ", ".join(words)


def _combined_score(analyses: tuple[Analysis, ...]) -> float:
    scores = [float(analysis.facts["score"] or 0.0) for analysis in analyses]
    if len(scores) == 1:
        return scores[0]
    rest = sum(scores[1:]) / len(scores[1:])
    return FIRST_TIMEFRAME_WEIGHT * scores[0] + (1 - FIRST_TIMEFRAME_WEIGHT) * rest


def _joined(analyses: tuple[Analysis, ...], name: str, atr: float | None) -> tuple[float, ...]:
    """The levels of all timeframes, nearest first, merged by the ATR of the first."""
    points = (point for analysis in analyses for point in getattr(analysis, name))
    return merge(sorted(points, reverse=name == "supports"), 0.25 * (atr or 0.0), keep=12)


def _consolidated_summary(
    analyses: tuple[Analysis, ...], direction: Direction, score: float, failure: Failure | None
) -> str:
    verdict = failure.detail if failure else f"together {direction} ({score:+.2f})"
    return " ".join(analysis.summary for analysis in analyses) + f" {verdict[:1].upper()}{verdict[1:]}."


def _quote_problem(consolidation: Consolidation, price: Decimal) -> Failure | None:
    if not price.is_finite() or price <= 0:
        return Failure("no_quote", f"{price} is no price to decide on")
    close = consolidation.analyses[0].last_close
    if close and abs(float(price) - close) / close > QUOTE_OFF_BARS:
        return Failure("quote_off_bars", f"the quote {price} is more than 20 % off the last close {close}")
    return None


def _no_entry(consolidation: Consolidation) -> Failure | None:
    """Why no side is taken: no common trend, or a move that has run too far."""
    if consolidation.direction == "neutral":
        if consolidation.facts["conflict"]:
            return Failure("timeframes_disagree", "the timeframes point in opposite directions")
        return Failure("no_trend", f"no clear trend: the combined score is {consolidation.facts['score']:+.2f}")
    rsi = consolidation.analyses[0].facts["rsi"]
    if rsi is None:
        return None
    if consolidation.direction == "bullish" and rsi >= RSI_EXHAUSTED:
        return Failure("overextended", f"RSI {rsi:.1f} is too high to buy")
    if consolidation.direction == "bearish" and rsi <= 100 - RSI_EXHAUSTED:
        return Failure("overextended", f"RSI {rsi:.1f} is too low to sell")
    return None


def _target_and_stop(consolidation: Consolidation, price: float, buying: bool) -> tuple[float, float]:
    """Target: the nearest level ahead that is far enough, else two ATRs of the last timeframe; stop: behind a level."""
    atr = consolidation.atr or 0.0
    sign = 1.0 if buying else -1.0
    ahead, behind = consolidation.resistances, consolidation.supports
    if not buying:
        ahead, behind = behind, ahead
    targets = [level for level in ahead if sign * (level - price) >= TARGET_NEAREST_ATR * atr]
    run = TARGET_DEFAULT_LONG_ATR * (consolidation.facts["atr_long"] or atr)
    reach = (STOP_NEAREST_ATR * atr, STOP_FARTHEST_ATR * atr)
    stops = [level for level in behind if reach[0] <= sign * (price - level) <= reach[1]]
    stop = stops[0] - sign * STOP_BUFFER_ATR * atr if stops else price - sign * STOP_DEFAULT_ATR * atr
    return (targets[0] if targets else price + sign * run), stop


def _direction(score: float, threshold: float) -> Direction:
    if score >= threshold:
        return "bullish"
    return "bearish" if score <= -threshold else "neutral"


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else 0.0
