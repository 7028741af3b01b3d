"""Reports on companies and the event calendar over the wire."""

from __future__ import annotations

import json
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from ib_insync import Future, Stock, WshEventData

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.errors import ReferenceDataError
from tests.paper_gateway_wire.conftest import ACCOUNT, START, Client, connected

AAPL, IBM = 265598, 8314
TODAY = START.date()
REPORTS = {
    "ReportSnapshot": "ReportSnapshot",
    "ReportsFinSummary": "FinancialSummary",
    "ReportsFinStatements": "ReportFinancialStatements",
    "RESC": "REarnEstCons",
    "CalendarReport": "WSHData",
}


@pytest.mark.parametrize("version", [157, 176])
async def test_every_report_is_xml(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        apple = await client.contract("AAPL")
        for report, root in REPORTS.items():
            assert fromstring(await client.ib.reqFundamentalDataAsync(apple, report)).tag == root


async def test_a_snapshot_fits_the_market(client: Client) -> None:
    apple = await client.contract("AAPL")
    root = fromstring(await client.ib.reqFundamentalDataAsync(apple, "ReportSnapshot"))
    ratios = {ratio.get("FieldName"): ratio.text for ratio in root.iter("Ratio")}
    (ticker,) = await client.ib.reqTickersAsync(apple)
    assert float(ratios["NPRICE"] or 0) == ticker.last
    shares = float(root.findtext("CoGeneralInfo/SharesOut") or 0)
    assert float(ratios["MKTCAP"] or 0) == pytest.approx(ticker.last * shares / 1_000_000)
    assert "made up" in (root.findtext("TextInfo/Text") or "").lower()


async def test_results_are_not_known_before_they_are_out(client: Client) -> None:
    apple = await client.contract("AAPL")
    root = fromstring(await client.ib.reqFundamentalDataAsync(apple, "ReportsFinSummary"))
    days = [date.fromisoformat(one.get("asofDate") or "") for one in root.iter("EPS")]
    assert days
    assert max(days) < TODAY


@pytest.mark.parametrize("symbol", ["SPY", "ES"])
async def test_what_has_no_company_has_no_report(client: Client, symbol: str) -> None:
    contract = Future("ES", "202606", "CME") if symbol == "ES" else Stock(symbol, "SMART", "USD")
    await client.ib.qualifyContractsAsync(contract)
    await client.ib.reqFundamentalDataAsync(contract, "ReportSnapshot")
    assert client.errors[-1][1] == 430


async def test_an_unknown_report_is_refused(client: Client) -> None:
    await client.ib.reqFundamentalDataAsync(await client.contract("AAPL"), "ReportsOwnership")
    assert client.errors[-1][1] == 322


async def test_a_file_replaces_what_would_be_made_up(tmp_path: Path) -> None:
    (tmp_path / "SPY").mkdir()
    (tmp_path / "SPY" / "ReportSnapshot.xml").write_text("<ReportSnapshot>own</ReportSnapshot>")
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, fundamentals_folder=tmp_path) as gateway:
        async with connected(gateway.port) as client:
            spy = await client.contract("SPY")
            text = await client.ib.reqFundamentalDataAsync(spy, "ReportSnapshot")
            assert text == "<ReportSnapshot>own</ReportSnapshot>"


@pytest.mark.parametrize(("name", "text"), [("Report.xml", "<a/>"), ("RESC.xml", "<a>"), ("RESC.xml", "")])
def test_a_wrong_report_stops_the_start(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "IBM").mkdir()
    (tmp_path / "IBM" / name).write_text(text)
    with (
        pytest.raises(ReferenceDataError, match=name),
        EmbeddedGateway(set_clock=START, fundamentals_folder=tmp_path),
    ):
        pass


@pytest.mark.parametrize("version", [157, 171, 176])
async def test_earnings_come_once_a_quarter(gateway: EmbeddedGateway, version: int) -> None:
    async with connected(gateway.port, version=version) as client:
        kinds = json.loads(await client.ib.getWshMetaDataAsync())
        assert [kind["tag"] for kind in kinds["meta_data"]["event_types"]] == ["wshe_ed"]
        rows = json.loads(await client.ib.getWshEventDataAsync(WshEventData(conId=AAPL)))
        days = [date.fromisoformat(row["data"]["earnings_date"]) for row in rows]
        assert days == sorted(days)
        assert 5 <= len(days) <= 8
        assert all(80 <= (two - one).days <= 100 for one, two in pairwise(days))
        assert any(day < TODAY for day in days)
        future = [row["data"]["wshe_earnings_date_status"] for row, day in zip(rows, days, strict=True) if day > TODAY]
        assert "INFERRED" in future


async def test_filters_choose_contracts_days_and_number(client: Client) -> None:
    await client.ib.getWshMetaDataAsync()
    watched = json.dumps({"country": "All", "watchlist": [str(AAPL), str(IBM)], "wshe_ed": "true"})
    first, last = TODAY, TODAY + timedelta(days=120)
    query = WshEventData(filter=watched, startDate=f"{first:%Y%m%d}", endDate=f"{last:%Y%m%d}")
    rows = json.loads(await client.ib.getWshEventDataAsync(query))
    assert {row["tickers"][0] for row in rows} == {"AAPL", "IBM"}
    assert all(first <= date.fromisoformat(row["data"]["earnings_date"]) <= last for row in rows)
    query.totalLimit = 1
    assert len(json.loads(await client.ib.getWshEventDataAsync(query))) == 1
    query.filter = json.dumps({"watchlist": [str(AAPL)], "wshe_bod": "true"})
    assert json.loads(await client.ib.getWshEventDataAsync(query)) == []


async def test_the_calendar_wants_its_order_kept(client: Client) -> None:
    raw = client.ib.client
    raw.reqWshEventData(900, WshEventData(conId=AAPL))
    raw.reqWshMetaData(901)
    raw.reqWshMetaData(902)
    raw.cancelWshMetaData(903)
    raw.reqWshEventData(904, WshEventData(conId=AAPL, startDate="someday"))
    raw.reqWshEventData(905, WshEventData(filter="[1"))
    raw.reqWshEventData(906, WshEventData(conId=AAPL))
    raw.reqWshEventData(907, WshEventData(conId=AAPL))
    raw.cancelWshEventData(908)
    raw.cancelWshEventData(906)
    raw.cancelWshMetaData(901)
    await client.fence()
    codes = {number: client.codes(number) for number in range(900, 909)}
    assert codes == {
        900: [10282],
        901: [],
        902: [10278],
        903: [10280],
        904: [10283],
        905: [10283],
        906: [],
        907: [10281],
        908: [10284],
    }


async def test_the_report_and_the_calendar_agree(client: Client) -> None:
    await client.ib.getWshMetaDataAsync()
    rows = json.loads(await client.ib.getWshEventDataAsync(WshEventData(conId=IBM)))
    report = await client.ib.reqFundamentalDataAsync(await client.contract("IBM"), "CalendarReport")
    listed = {one.findtext("Date") for one in fromstring(report).iter("Earnings")}
    days = {date.fromisoformat(row["data"]["earnings_date"]) for row in rows}
    assert {f"{day:%m/%d/%Y}" for day in days} <= listed
