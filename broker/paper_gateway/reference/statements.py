"""Reports on past results: the summary by quarter and year, and the statements."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element

from .company import Company, Quarter, Results
from .elements import add, identity

_QUARTERS, _YEARS = 12, 4
_LINES = (("SREV", "Revenue"), ("NINC", "Net Income"), ("SDBF", "Diluted EPS"))


def _year(company: Company, year: int) -> Results:
    quarters = [company.results(Quarter(year, number)) for number in (1, 2, 3, 4)]
    return Results(
        sum((one.revenue for one in quarters), Decimal(0)),
        sum((one.income for one in quarters), Decimal(0)),
        sum((one.per_share for one in quarters), Decimal(0)),
    )


def _years(company: Company, today: date) -> list[int]:
    """The last years whose results are out, newest first."""
    latest = company.reported(today, 1)[0]
    last = latest.year if latest.number == 4 else latest.year - 1
    return [last - back for back in range(_YEARS)]


def _periods(company: Company, today: date) -> list[tuple[date, str, Results]]:
    """Year ends ("12M") and quarter ends ("3M") with what they brought."""
    rows = [(Quarter(year, 4).end, "12M", _year(company, year)) for year in _years(company, today)]
    return rows + [(one.end, "3M", company.results(one)) for one in company.reported(today, _QUARTERS)]


def summary(company: Company, today: date) -> Element:
    """ReportsFinSummary."""
    root = Element("FinancialSummary")
    currency = company.spec.currency
    per_share, revenues = add(root, "EPSs", currency=currency), add(root, "TotalRevenues", currency=currency)
    dividends = add(root, "DividendPerShares", currency=currency)
    payout = Decimal(f"{company.payout:.3f}")
    for end, period, results in _periods(company, today):
        common = {"asofDate": end, "reportType": "A", "period": period}
        add(per_share, "EPS", results.per_share, **common)
        add(revenues, "TotalRevenue", results.revenue * 1_000_000, **common)
        add(dividends, "DividendPerShare", (results.per_share * payout).quantize(Decimal("0.01")), **common)
    return root


def statements(company: Company, today: date) -> Element:
    """ReportsFinStatements: the income statement, by year and by quarter."""
    root = Element("ReportFinancialStatements", Major="1", Minor="0", Revision="1")
    identity(root, company, today)
    body = add(root, "FinancialStatements")
    names = add(body, "COAMap")
    for code, name in _LINES:
        add(names, "mapItem", name, coaItem=code, statementType="INC", lineID=1, precision=2)
    _statements(
        add(body, "AnnualPeriods"),
        (
            ({"Type": "Annual", "EndDate": Quarter(year, 4).end, "FiscalYear": year}, _year(company, year))
            for year in _years(company, today)
        ),
    )
    _statements(
        add(body, "InterimPeriods"),
        (
            (
                {"Type": "Interim", "EndDate": one.end, "FiscalYear": one.year, "FiscalPeriodNumber": one.number},
                company.results(one),
            )
            for one in company.reported(today, _QUARTERS)
        ),
    )
    return root


def _statements(parent: Element, periods: Iterable[tuple[dict[str, object], Results]]) -> None:
    for attributes, results in periods:
        statement = add(add(parent, "FiscalPeriod", **attributes), "Statement", Type="INC")
        values = (results.revenue, results.income, results.per_share)
        for (code, _), value in zip(_LINES, values, strict=True):
            add(statement, "lineItem", value, coaCode=code)
