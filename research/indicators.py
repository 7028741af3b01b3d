"""Technical indicators of OHLCV bars, computed by TA-Lib; needs no Django."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import talib

from research.types import OHLCV, FloatArray, IndicatorParameters, Indicators

DEFAULT_PARAMETERS = IndicatorParameters()


def compute(bars: OHLCV, parameters: IndicatorParameters = DEFAULT_PARAMETERS) -> Indicators:
    """The indicators of each bar, from that bar and older ones only.

    A bar with a missing number ends the series: it and all younger bars get NaN, since TA-Lib would go on with
    plausible but wrong numbers. Arrays of different lengths raise ValueError.
    """
    high, low, close, volume = (_floats(part) for part in (bars.high, bars.low, bars.close, bars.volume))
    if len({len(high), len(low), len(close), len(volume)}) != 1:
        raise ValueError("the arrays of the bars differ in length")
    end = _first_gap(high, low, close)
    arrays = _price_indicators(high[:end], low[:end], close[:end], parameters)
    padded = {name: _padded(values, len(close), 0.0 if name == "trend" else np.nan) for name, values in arrays.items()}
    return Indicators(parameters=parameters, volume_average=_average_volume(volume, parameters), **padded)


def _price_indicators(
    high: FloatArray, low: FloatArray, close: FloatArray, parameters: IndicatorParameters
) -> dict[str, npt.NDArray[np.generic]]:
    p = parameters
    supertrend, trend = talib.SUPERTREND(high, low, close, p.supertrend_period, float(p.supertrend_multiplier))
    macd, signal, histogram = talib.MACD(close, p.macd_fast, p.macd_slow, p.macd_signal)
    width = float(p.bollinger_width)
    upper, middle, lower = talib.BBANDS(close, p.bollinger_period, width, width)
    return {
        "supertrend": supertrend,
        "trend": trend,
        "sma_fast": talib.SMA(close, p.sma_fast),
        "sma_medium": talib.SMA(close, p.sma_medium),
        "sma_slow": talib.SMA(close, p.sma_slow),
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": histogram,
        "rsi": talib.RSI(close, p.rsi_period),
        "bollinger_upper": upper,
        "bollinger_middle": middle,
        "bollinger_lower": lower,
        "atr": talib.ATR(high, low, close, p.atr_period),
    }


def _average_volume(volume: FloatArray, parameters: IndicatorParameters) -> FloatArray:
    end = _first_gap(volume)
    return _padded(talib.SMA(volume[:end], parameters.volume_period), len(volume), np.nan)


def _floats(values: npt.ArrayLike) -> FloatArray:
    return np.ascontiguousarray(values, dtype=np.float64)


def _first_gap(*arrays: FloatArray) -> int:
    """The index of the first bar with a number that is not finite, else the number of bars."""
    whole = np.logical_and.reduce([np.isfinite(values) for values in arrays])
    return len(whole) if whole.all() else int(np.argmin(whole))


def _padded(values: npt.NDArray[np.generic], length: int, fill: float) -> FloatArray:
    padded = np.full(length, fill, dtype=np.float64)
    padded[: len(values)] = values
    return padded
