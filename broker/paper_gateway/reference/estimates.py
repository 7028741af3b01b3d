"""Reports on what is to come: analysts' estimates, and the calendar of earnings."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from xml.etree.ElementTree import Element

from .company import Company
from .elements import add

_ACTUALS, _AHEAD = 8, 4
_CALENDAR_BACK, _CALENDAR_AHEAD = timedelta(days=365), timedelta(days=365)


def estimates(company: Company, today: date) -> Element:
    """RESC: what was earned, and the mean of what is expected."""
    root = Element("REarnEstCons", Major="1", Minor="0")
    body = add(root, "Company")
    ids = add(body, "SecIds")
    add(ids, "SecId", company.spec.symbol, type="TICKER")
    add(add(body, "CoName"), "Name", company.spec.long_name, type="LongName")
    reported = company.reported(today, _ACTUALS)
    actual = add(add(add(body, "Actuals"), "FYActuals"), "FYActual", type="EPS", unit="U")
    for one in reported:
        period = add(actual, "FYPeriod", periodType="Q", fYear=one.year, endMonth=one.end.month, periodNum=one.number)
        add(period, "ActValue", company.results(one).per_share, updated=company.release(one, today).day)
    expected = add(add(add(body, "ConsEstimates"), "FYEstimates"), "FYEstimate", type="EPS", unit="U")
    for ahead in range(1, _AHEAD + 1):
        one = reported[0].shifted(ahead)
        period = add(expected, "FYPeriod", periodType="Q", fYear=one.year, endMonth=one.end.month, periodNum=one.number)
        mean = company.expected(one)
        for name, share in (("Mean", "1"), ("High", "1.1"), ("Low", "0.9")):
            value = (mean * Decimal(share)).quantize(Decimal("0.01"))
            add(add(period, "ConsEstimate", type=name), "ConsValue", value, dateType="CURR")
    return root


def calendar(company: Company, today: date) -> Element:
    """CalendarReport: a year of earnings releases back and ahead."""
    root = Element("WSHData")
    about = add(root, "Company")
    add(about, "Ticker", company.spec.symbol)
    add(about, "Name", company.spec.long_name)
    listed = add(root, "EarningsList")
    for release in company.releases(today - _CALENDAR_BACK, today + _CALENDAR_AHEAD, today):
        entry = add(listed, "Earnings")
        add(entry, "Period", f"{release.quarter.name} {release.quarter.year}")
        add(entry, "Date", f"{release.day:%m/%d/%Y}")
        add(entry, "Etime", release.time.title())
        add(entry, "TimeZone", "EST")
        add(entry, "Status", "Confirmed" if release.confirmed else "Inferred")
    return root
