"""The names of the frames that the gateway sends, by message id, and groups of them."""

from __future__ import annotations

from collections.abc import Iterable

from broker.paper_gateway.wire.framing import PREFIX
from broker.paper_gateway.wire.versions import MAX_VERSION, MIN_VERSION

HANDSHAKE = "handshake"
LISTED = "listed."

_TABLE = """
1:tickPrice 2:tickSize 3:orderStatus 4:error 5:openOrder 6:updateAccountValue 7:updatePortfolio
8:updateAccountTime 9:nextValidId 10:contractDetails 11:execDetails 12:updateMktDepth 13:updateMktDepthL2
14:updateNewsBulletin 15:managedAccounts 17:historicalData 19:scannerParameters 20:scannerData
21:tickOptionComputation 45:tickGeneric 46:tickString 49:currentTime 50:realtimeBar 51:fundamentalData
52:contractDetailsEnd 53:openOrderEnd 54:accountDownloadEnd 55:execDetailsEnd 57:tickSnapshotEnd 58:marketDataType
59:commissionReport 61:position 62:positionEnd 63:accountSummary 64:accountSummaryEnd 71:positionMulti
72:positionMultiEnd 73:accountUpdateMulti 74:accountUpdateMultiEnd 75:securityDefinitionOptionParameter
76:securityDefinitionOptionParameterEnd 77:softDollarTiers 78:familyCodes 79:symbolSamples 80:mktDepthExchanges
81:tickReqParams 82:smartComponents 83:newsArticle 84:tickNews 85:newsProviders 86:historicalNews
87:historicalNewsEnd 88:headTimestamp 89:histogramData 90:historicalDataUpdate 93:marketRule 94:pnl 95:pnlSingle
96:historicalTicks 97:historicalTicksBidAsk 98:historicalTicksLast 99:tickByTick 100:orderBound 101:completedOrder
102:completedOrdersEnd 104:wshMetaData 105:wshEventData 106:historicalSchedule 107:userInfo
"""
NAMES: dict[bytes, str] = {number.encode(): name for number, name in (entry.split(":") for entry in _TABLE.split())}
NAMES |= {str(version).encode(): HANDSHAKE for version in range(MIN_VERSION, MAX_VERSION + 1)}

ORDER_FRAMES = frozenset({"openOrder", "orderStatus", "execDetails", "commissionReport"})
TICKS = frozenset(
    {"tickPrice", "tickSize", "tickString", "tickGeneric", "tickByTick", "tickNews", "updateMktDepth", "realtimeBar"}
)
GROUPS: dict[str, frozenset[str]] = {
    "acks": frozenset({"openOrder", "orderStatus"}),
    "fills": frozenset({"execDetails", "commissionReport"}),
    "orders": ORDER_FRAMES,
    "ticks": TICKS | {"historicalDataUpdate"},
    "account": frozenset(
        {"updateAccountValue", "updatePortfolio", "updateAccountTime", "position", "pnl", "pnlSingle"}
    ),
}


ANSWERS = frozenset({"all", *GROUPS, *NAMES.values(), *(LISTED + name for name in ORDER_FRAMES)})


def frame_name(frame: bytes, *, pushed: bool) -> str:
    """What a frame is; an order or an execution that answers a request, instead of being news, is `listed.…`."""
    name = NAMES.get(frame[PREFIX : frame.index(0, PREFIX)], "unknown")
    return LISTED + name if name in ORDER_FRAMES and not pushed else name


def matches(name: str, kinds: Iterable[str]) -> bool:
    """Whether a name is among kinds: itself, `all`, or a group that holds it."""
    return any(kind in (name, "all") or name in GROUPS.get(kind, ()) for kind in kinds)
