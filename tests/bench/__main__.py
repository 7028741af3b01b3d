"""`make bench`: run every registered bench, or those whose name holds a given word, and print one table."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from tests import environment
from tests.bench.frame import REGISTRY, Bench, Measured


def main(words: list[str]) -> int:
    """Exit code 1 where a target was missed."""
    environment.prepare()
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        import_module(f"tests.bench.{path.stem}")
    chosen = [bench for bench in REGISTRY if not words or any(word in bench.name for word in words)]
    print(f"{'':<50}{'median':>12}{'target':>12}{'baseline':>12}{'faster':>14}")
    verdicts = [_show(bench, bench.measure()) for bench in chosen]
    return 0 if all(verdicts) else 1


def _show(bench: Bench, measured: Measured) -> bool:
    ok = bench.verdict(measured)
    baseline = _amount(measured.baseline, bench.unit) if measured.baseline else ""
    ratio = f"{measured.ratio:.1f}x (>= {bench.faster:g}x)" if measured.ratio and bench.faster else ""
    median, target = _amount(measured.seconds, bench.unit), f"<= {_amount(bench.target, bench.unit)}"
    row = f"{bench.name:<50}{median:>12}{target:>12}{baseline:>12}{ratio:>16}"
    print(f"{row}  {'ok' if ok else 'MISSED'}", flush=True)
    return ok


def _amount(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.3g} {unit}"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
