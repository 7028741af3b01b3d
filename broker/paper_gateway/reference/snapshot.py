"""The report that describes a company in a page: what it does, and its ratios."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element

from .company import Company
from .elements import MADE_UP, add, identity

UNKNOWN = "-99999.99"


def snapshot(company: Company, today: date, price: Decimal | None) -> Element:
    """ReportSnapshot; ratios that need a price are unknown without one."""
    root = Element("ReportSnapshot", Major="1", Minor="0", Revision="1")
    identity(root, company, today)
    texts = add(root, "TextInfo")
    add(texts, "Text", f"{company.spec.long_name}. {MADE_UP}", Type="Business Summary", lastModified=today)
    industry = add(add(root, "peerInfo", lastUpdated=today), "IndustryInfo")
    add(industry, "Industry", company.spec.industry or "Unknown", type="TRBC", order=1, reported=0, code=0)
    add(industry, "Industry", company.spec.category or "Unknown", type="TRBC", order=2, reported=0, code=0)
    latest = company.reported(today, 1)[0]
    currency = company.spec.currency
    ratios = add(
        root,
        "Ratios",
        PriceCurrency=currency,
        ReportingCurrency=currency,
        ExchangeRate="1.0",
        LatestAvailableDate=latest.end,
    )
    for group, rows in _groups(company, today, price).items():
        parent = add(ratios, "Group", ID=group)
        for name, value in rows.items():
            add(parent, "Ratio", UNKNOWN if value is None else value, FieldName=name, Type="N")
    return root


def _groups(company: Company, today: date, price: Decimal | None) -> dict[str, dict[str, Decimal | None]]:
    year = [company.results(quarter) for quarter in company.reported(today, 4)]
    revenue = sum((one.revenue for one in year), Decimal(0))
    income = sum((one.income for one in year), Decimal(0))
    per_share = sum((one.per_share for one in year), Decimal(0))
    value = None if price is None else _rounded(price * company.shares / 1_000_000)
    return {
        "Price and Volume": {"NPRICE": price, "MKTCAP": value},
        "Income Statement": {"TTMREV": _rounded(revenue), "TTMNIAC": _rounded(income)},
        "Per share data": {
            "TTMEPSXCLX": per_share,
            "TTMREVPS": _rounded(revenue * 1_000_000 / company.shares),
            "TTMDIVSHR": _rounded(per_share * Decimal(f"{company.payout:.3f}")),
        },
        "Other Ratios": {
            "PEEXCLXOR": None if price is None else _rounded(price / max(per_share, Decimal("0.01"))),
            "TTMNPMGN": _rounded(income / revenue * 100),
            "YIELD": None if not price else _rounded(per_share * Decimal(f"{company.payout:.3f}") / price * 100),
        },
    }


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))
