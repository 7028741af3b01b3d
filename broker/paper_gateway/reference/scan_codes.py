"""What can be scanned: instruments, locations and scan codes, and the document that describes them."""

from __future__ import annotations

from typing import Literal, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring


class Place(NamedTuple):
    """A location of one instrument, and the listing exchanges that belong to it."""

    code: str
    name: str
    instrument: str
    exchanges: tuple[str, ...]


class ScanCode(NamedTuple):
    """One kind of scan: the figure it ranks by, and whether the most or the least of it comes first."""

    code: str
    name: str
    figure: str
    first: Literal["most", "least"]


US_STOCKS, US_FUNDS, EUROPE, CANADA, JAPAN = "STK", "ETF.EQ.US", "STOCK.EU", "STOCK.NA", "STOCK.HK"
INSTRUMENTS = {
    US_STOCKS: "US Stocks",
    US_FUNDS: "US Equity ETFs",
    EUROPE: "European Stocks",
    CANADA: "American Non-US Stocks",
    JAPAN: "Asia-Pacific Stocks",
}
_US_EXCHANGES = ("NASDAQ", "NYSE", "ARCA", "BATS")
PLACES = {
    place.code: place
    for place in (
        Place("STK.US", "US Stocks", US_STOCKS, _US_EXCHANGES),
        Place("STK.US.MAJOR", "Listed/NASDAQ", US_STOCKS, _US_EXCHANGES),
        *(Place(f"STK.{exchange}", exchange, US_STOCKS, (exchange,)) for exchange in _US_EXCHANGES),
        Place("ETF.EQ.US", "US Equity ETFs", US_FUNDS, _US_EXCHANGES),
        Place("ETF.EQ.US.MAJOR", "Listed/NASDAQ ETFs", US_FUNDS, _US_EXCHANGES),
        *(Place(f"ETF.EQ.{exchange}", f"{exchange} ETFs", US_FUNDS, (exchange,)) for exchange in _US_EXCHANGES),
        Place("STK.EU", "European Stocks", EUROPE, ("IBIS", "LSE")),
        Place("STK.EU.IBIS", "Germany - XETRA", EUROPE, ("IBIS",)),
        Place("STK.EU.LSE", "United Kingdom", EUROPE, ("LSE",)),
        Place("STK.NA", "American Non-US Stocks", CANADA, ("TSE",)),
        Place("STK.NA.TSE", "Canada - Toronto", CANADA, ("TSE",)),
        Place("STK.HK", "Asia-Pacific Stocks", JAPAN, ("TSEJ",)),
        Place("STK.HK.TSE_JPN", "Japan - Tokyo", JAPAN, ("TSEJ",)),
    )
}
CODES = {
    scan.code: scan
    for scan in (
        ScanCode("TOP_PERC_GAIN", "Top % Gainers", "change", "most"),
        ScanCode("TOP_PERC_LOSE", "Top % Losers", "change", "least"),
        ScanCode("MOST_ACTIVE", "Most Active", "volume", "most"),
        ScanCode("MOST_ACTIVE_USD", "Most Active ($)", "turnover", "most"),
        ScanCode("NOT_OPEN", "Least Active", "volume", "least"),
        ScanCode("HOT_BY_VOLUME", "Hot Contracts by Volume", "volume_ratio", "most"),
        ScanCode("HOT_BY_PRICE", "Hot Contracts by Price", "price_ratio", "most"),
        ScanCode("TOP_TRADE_COUNT", "Top Trade Count", "trades", "most"),
        ScanCode("TOP_PRICE_RANGE", "Top Price Range", "day_range", "most"),
        ScanCode("TOP_OPEN_PERC_GAIN", "Top % Gainers Since Open", "since_open", "most"),
        ScanCode("TOP_OPEN_PERC_LOSE", "Top % Losers Since Open", "since_open", "least"),
        ScanCode("HIGH_OPEN_GAP", "Top Close-to-Open % Gainers", "gap", "most"),
        ScanCode("LOW_OPEN_GAP", "Top Close-to-Open % Losers", "gap", "least"),
        ScanCode("HIGH_VS_13W_HL", "13-Week High", "place_in_13_weeks", "most"),
        ScanCode("LOW_VS_13W_HL", "13-Week Low", "place_in_13_weeks", "least"),
        ScanCode("MARKET_CAP_USD_DESC", "Largest Market Value", "market_value", "most"),
        ScanCode("MARKET_CAP_USD_ASC", "Smallest Market Value", "market_value", "least"),
    )
}
FILTERS = {
    "priceAbove": "last",
    "priceBelow": "last",
    "volumeAbove": "volume",
    "volumeBelow": "volume",
    "marketCapAbove1e6": "market_value",
    "marketCapBelow1e6": "market_value",
    "changePercAbove": "change",
    "changePercBelow": "change",
}


def document() -> str:
    """The scanner parameters: instruments, locations as a tree, scan types, filters."""
    root = Element("ScanParameterResponse")
    instruments = SubElement(root, "InstrumentList", varName="instrumentList")
    for code, name in INSTRUMENTS.items():
        _fill(SubElement(instruments, "Instrument"), name=name, type=code, filters=",".join(FILTERS), secType="STK")
    places = SubElement(root, "LocationTree", varName="locationTree")
    for code, name in INSTRUMENTS.items():
        first = next(place for place in PLACES.values() if place.instrument == code)
        branch = SubElement(places, "Location")
        _fill(branch, displayName=name, locationCode=first.code, instruments=code)
        leaves = SubElement(branch, "LocationTree")
        for place in PLACES.values():
            if place.instrument == code and place is not first:
                leaf = SubElement(leaves, "Location")
                _fill(leaf, displayName=place.name, locationCode=place.code, instruments=code)
    scans = SubElement(root, "ScanTypeList", varName="scanTypeList")
    for scan in CODES.values():
        named = SubElement(scans, "ScanType")
        _fill(named, displayName=scan.name, scanCode=scan.code, instruments=",".join(INSTRUMENTS))
    filters = SubElement(root, "FilterList", varName="filterList")
    for name in FILTERS:
        _fill(SubElement(SubElement(filters, "RangeFilter"), "AbstractField"), code=name, displayName=name)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode")


def _fill(parent: Element, **texts: str) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = text
