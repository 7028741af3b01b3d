"""Reports on companies as XML: from a folder where it has one, else made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring, tostring

from ..errors import ReferenceDataError
from ..types import SymbolSpec
from . import estimates, snapshot, statements
from .company import Company, company_of


@dataclass(frozen=True, slots=True)
class Occasion:
    """When a report is asked for, and at which price (None = unknown)."""

    today: date
    price: Decimal | None


_MADE: dict[str, Callable[[Company, date, Decimal | None], Element]] = {
    "ReportSnapshot": snapshot.snapshot,
    "ReportsFinSummary": lambda company, today, price: statements.summary(company, today),
    "ReportsFinStatements": lambda company, today, price: statements.statements(company, today),
    "RESC": lambda company, today, price: estimates.estimates(company, today),
    "CalendarReport": lambda company, today, price: estimates.calendar(company, today),
}
REPORTS = tuple(_MADE)


class Reports:
    """`folder` holds `SYMBOL/report.xml`; what is there replaces what would be made up."""

    def __init__(self, folder: Path | None) -> None:
        """Raises ReferenceDataError for a file of another name or one that is no XML."""
        self._texts = {} if folder is None else _read(folder)

    def report(self, spec: SymbolSpec, name: str, occasion: Occasion) -> str | None:
        """The XML of one report, which must be one of REPORTS; None where the contract has none."""
        held = self._texts.get((spec.symbol, name))
        if held is not None:
            return held
        company = company_of(spec)
        if company is None:
            return None
        root = _MADE[name](company, occasion.today, occasion.price)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode")


def _read(folder: Path) -> dict[tuple[str, str], str]:
    if not folder.is_dir():
        raise ReferenceDataError(folder, "there is no such folder", "give a folder with one folder a symbol")
    return {(path.parent.name.upper(), path.stem): _text(path) for path in sorted(folder.glob("*/*.xml"))}


def _text(path: Path) -> str:
    if path.stem not in REPORTS:
        raise ReferenceDataError(path, "there is no report of that name", f"choose one of {', '.join(REPORTS)}")
    try:
        text = path.read_text("utf-8")
        fromstring(text)
    except (OSError, ValueError, ParseError) as error:
        raise ReferenceDataError(path, f"it is no XML: {error}", "write it as a report") from error
    if "\0" in text:
        raise ReferenceDataError(path, "it holds a NUL", "leave it out")
    return text
