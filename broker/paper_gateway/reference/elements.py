"""Short ways to build the XML of reports."""

from __future__ import annotations

from datetime import date
from xml.etree.ElementTree import Element, SubElement

from .company import Company

MADE_UP = "Made up by the paper gateway for tests; nothing in it is true of the company."


def add(parent: Element, tag: str, text: object = "", **attributes: object) -> Element:
    """A new last child."""
    child = SubElement(parent, tag, {name: str(value) for name, value in attributes.items()})
    child.text = str(text) if text != "" else None
    return child


def identity(parent: Element, company: Company, today: date) -> None:
    """Who the report is about, as most reports begin."""
    spec = company.spec
    ids = add(parent, "CoIDs")
    add(ids, "CoID", spec.long_name, Type="CompanyName")
    issue = add(add(parent, "Issues"), "Issue", ID=1, Type="C", Desc="Common Stock", Order=1)
    add(issue, "IssueID", spec.long_name, Type="Name")
    add(issue, "IssueID", spec.symbol, Type="Ticker")
    add(issue, "Exchange", spec.primary_exchange, Code=spec.primary_exchange, Country="")
    general = add(parent, "CoGeneralInfo")
    add(general, "CoStatus", "Active", Code=1)
    add(general, "LatestAvailableInterim", company.reported(today, 1)[0].end)
    add(general, "SharesOut", f"{company.shares}.0", Date=today, TotalFloat=f"{company.shares}.0")
    add(general, "ReportingCurrency", spec.currency, Code=spec.currency)
