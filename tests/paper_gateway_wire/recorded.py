"""Every request that ib_insync can send, as the frames that it really wrote, for tests that damage them."""

from __future__ import annotations

from ib_insync import (
    Contract,
    ExecutionFilter,
    LimitOrder,
    Order,
    ScannerSubscription,
    Stock,
    StopOrder,
    TagValue,
)
from ib_insync.client import Client as WireClient

from broker.paper_gateway.embedded import EmbeddedGateway
from tests.paper_gateway_wire.conftest import connected

YES, NO = True, False
SPY = Stock("SPY", "SMART", "USD", conId=756733)
BRACKET = Order(
    action="SELL", orderType="LMT", totalQuantity=5, lmtPrice=900.0, tif="GTC", ocaGroup="both", ocaType=2, orderRef="r"
)


async def recorded(gateway: EmbeddedGateway, client_id: int = 90) -> dict[str, list[list[str]]]:
    """Frames by name, as fields, from a client that asks for everything once."""
    async with connected(gateway.port, client_id=client_id) as client:
        wire = client.ib.client
        ask_for_data(wire)
        ask_for_orders(wire)
        ask_for_the_account(wire)
        ask_for_what_is_rare(wire)
        await client.fence()
    return {name: gateway.frames(name) for name in gateway.status()["frames"]}


def ask_for_data(wire: WireClient) -> None:
    """Contracts, bars, streams, news."""
    wire.reqContractDetails(101, SPY)
    wire.reqMktData(102, SPY, "233,236", NO, NO, [TagValue("a", "b")])
    wire.cancelMktData(102)
    wire.reqMktDepth(103, SPY, 5, NO, [])
    wire.cancelMktDepth(103, NO)
    wire.reqHistoricalData(104, SPY, "", "2 D", "1 hour", "TRADES", 1, 1, NO, [])
    wire.cancelHistoricalData(104)
    wire.reqRealTimeBars(105, SPY, 5, "TRADES", YES, [])
    wire.cancelRealTimeBars(105)
    wire.reqHeadTimeStamp(106, SPY, "TRADES", 1, 1)
    wire.cancelHeadTimeStamp(106)
    wire.reqHistogramData(107, SPY, YES, "3 days")
    wire.cancelHistogramData(107)
    wire.reqHistoricalTicks(108, SPY, "", "20260302 14:00:00 UTC", 10, "TRADES", 1, NO, [])
    wire.reqTickByTickData(109, SPY, "Last", 0, NO)
    wire.cancelTickByTickData(109)
    wire.reqMatchingSymbols(110, "SP")
    wire.reqMarketRule(26)
    wire.reqMarketDataType(1)
    wire.reqSecDefOptParams(111, "SPY", "", "STK", 756733)
    wire.reqNewsProviders()
    wire.reqHistoricalNews(112, 756733, "BRFG+DJNL", "", "", 5, [])
    wire.reqNewsArticle(113, "BRFG", "BRFG$1", [])
    wire.reqFundamentalData(114, SPY, "ReportSnapshot", [])
    wire.cancelFundamentalData(114)
    wire.reqScannerSubscription(115, ScannerSubscription(numberOfRows=5, scanCode="TOP_PERC_GAIN"), [], [])
    wire.cancelScannerSubscription(115)
    wire.reqScannerParameters()


def ask_for_orders(wire: WireClient) -> None:
    """Orders of several kinds, changed and cancelled, and the lists of them."""
    first = wire.getReqId()
    wire.placeOrder(first, SPY, LimitOrder("BUY", 10, 1.0))
    wire.placeOrder(first, SPY, LimitOrder("BUY", 20, 1.5))
    wire.placeOrder(wire.getReqId(), SPY, StopOrder("SELL", 10, 1.0, tif="GTC"))
    wire.placeOrder(wire.getReqId(), SPY, BRACKET)
    wire.placeOrder(wire.getReqId(), SPY, LimitOrder("BUY", 10, 1.0, whatIf=True))
    wire.cancelOrder(first)
    wire.reqOpenOrders()
    wire.reqAllOpenOrders()
    wire.reqAutoOpenOrders(NO)
    wire.reqCompletedOrders(NO)
    wire.reqExecutions(120, ExecutionFilter(symbol="SPY", side="BUY"))
    wire.reqIds(1)


def ask_for_the_account(wire: WireClient) -> None:
    """Values, positions, results."""
    wire.reqAccountUpdates(YES, "")
    wire.reqAccountUpdatesMulti(121, "", "", NO)
    wire.cancelAccountUpdatesMulti(121)
    wire.reqAccountSummary(122, "All", "NetLiquidation,$LEDGER:ALL")
    wire.cancelAccountSummary(122)
    wire.reqPositions()
    wire.cancelPositions()
    wire.reqPositionsMulti(123, "", "")
    wire.cancelPositionsMulti(123)
    wire.reqPnL(124, "", "")
    wire.cancelPnL(124)
    wire.reqPnLSingle(125, "", "", 756733)
    wire.cancelPnLSingle(125)
    wire.reqManagedAccts()


def ask_for_what_is_rare(wire: WireClient) -> None:
    """The rest."""
    wire.setServerLogLevel(1)
    wire.reqNewsBulletins(YES)
    wire.cancelNewsBulletins()
    wire.requestFA(1)
    wire.replaceFA(130, 1, "<xml/>")
    wire.calculateImpliedVolatility(131, Contract(conId=756733), 5.0, 100.0, [])
    wire.cancelCalculateImpliedVolatility(131)
    wire.calculateOptionPrice(132, Contract(conId=756733), 0.2, 100.0, [])
    wire.cancelCalculateOptionPrice(132)
    wire.exerciseOptions(133, Contract(conId=756733), 1, 1, "", 0)
    wire.queryDisplayGroups(134)
    wire.subscribeToGroupEvents(135, 1)
    wire.updateDisplayGroup(135, "756733@SMART")
    wire.unsubscribeFromGroupEvents(135)
    wire.reqSoftDollarTiers(136)
    wire.reqFamilyCodes()
    wire.reqMktDepthExchanges()
    wire.reqSmartComponents(137, "a6")
    wire.reqWshMetaData(138)
    wire.cancelWshMetaData(138)
    wire.reqUserInfo(139)
