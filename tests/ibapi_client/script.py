"""Run by the Python of `.venv/ibapi`: connect, read bars, place a bracket, see it fill; JSON of all that was told."""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict
from typing import Any

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.order import Order
from ibapi.wrapper import EWrapper

SECONDS = 45.0  # for each answer, on a machine that has much else to do


class Client(EWrapper, EClient):
    """Keeps what it is told, by the name of the callback; `wait` returns once a callback was called often enough."""

    def __init__(self) -> None:
        EWrapper.__init__(self)
        EClient.__init__(self, self)
        self.told: defaultdict[str, list[Any]] = defaultdict(list)
        self.news = threading.Condition()

    def keep(self, name: str, what: Any) -> None:
        """Note one call."""
        with self.news:
            self.told[name].append(what)
            self.news.notify_all()

    def wait(self, name: str, count: int = 1) -> list[Any]:
        """All that was told under that name, once it is `count` things; raises TimeoutError."""
        with self.news:
            if not self.news.wait_for(lambda: len(self.told[name]) >= count, SECONDS):
                raise TimeoutError(f"{name} came {len(self.told[name])} times, not {count}: {dict(self.told)}")
            return list(self.told[name])

    def nextValidId(self, orderId: int) -> None:
        self.keep("next_id", orderId)

    def managedAccounts(self, accountsList: str) -> None:
        self.keep("accounts", accountsList)

    def error(self, reqId: int, errorCode: int, errorString: str) -> None:
        self.keep("errors", [reqId, errorCode, errorString])

    def contractDetails(self, reqId: int, contractDetails: Any) -> None:
        self.keep("details", [contractDetails.contract.conId, contractDetails.longName, contractDetails.minTick])

    def contractDetailsEnd(self, reqId: int) -> None:
        self.keep("details_end", reqId)

    def historicalData(self, reqId: int, bar: Any) -> None:
        self.keep("bars", [bar.date, bar.open, bar.high, bar.low, bar.close, bar.volume])

    def historicalDataEnd(self, reqId: int, start: str, end: str) -> None:
        self.keep("bars_end", [start, end])

    def openOrder(self, orderId: int, contract: Any, order: Any, orderState: Any) -> None:
        self.keep(f"open_{orderId}", [order.orderType, order.parentId, order.ocaGroup, orderState.status])

    def orderStatus(
        self,
        orderId: int,
        status: str,
        filled: float,
        remaining: float,
        avgFillPrice: float,
        permId: int,
        parentId: int,
        lastFillPrice: float,
        clientId: int,
        whyHeld: str,
        mktCapPrice: float,
    ) -> None:
        self.keep(f"status_{orderId}_{status}", [filled, remaining, permId, whyHeld])

    def execDetails(self, reqId: int, contract: Any, execution: Any) -> None:
        self.keep("executions", [execution.orderId, contract.symbol, execution.side, execution.shares])

    def commissionReport(self, commissionReport: Any) -> None:
        self.keep("commissions", commissionReport.commission)

    def position(self, account: str, contract: Any, position: float, avgCost: float) -> None:
        self.keep("positions", [account, contract.symbol, position])

    def positionEnd(self) -> None:
        self.keep("positions_end", "")


def stock(symbol: str) -> Contract:
    """A US stock on SMART."""
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = symbol, "STK", "SMART", "USD"
    return contract


def leg(action: str, kind: str, price: float, *, parent: int, last: bool) -> Order:
    """One leg of a bracket over 100 shares; `last` sends them all."""
    order = Order()
    order.action, order.orderType, order.totalQuantity, order.tif = action, kind, 100, "GTC"
    order.parentId, order.transmit, order.orderRef = parent, last, "ibapi"
    if kind == "LMT":
        order.lmtPrice = price
    elif kind == "STP":
        order.auxPrice = price
    return order


def trade(client: Client) -> dict[str, Any]:
    """Everything the client does once its session has begun."""
    first = client.wait("next_id")[0]
    spy = stock("SPY")
    client.reqContractDetails(1, spy)
    client.wait("details_end")
    client.reqHistoricalData(2, spy, "", "5 D", "1 day", "TRADES", 1, 1, keepUpToDate=False, chartOptions=[])
    client.wait("bars_end")
    close = client.wait("bars")[-1][4]
    entry, target, stop = first, first + 1, first + 2
    client.placeOrder(entry, spy, leg("BUY", "MKT", 0, parent=0, last=False))
    client.placeOrder(target, spy, leg("SELL", "LMT", round(close * 2, 2), parent=entry, last=False))
    client.placeOrder(stop, spy, leg("SELL", "STP", round(close / 2, 2), parent=entry, last=True))
    client.wait(f"status_{entry}_Filled")
    client.wait("commissions")
    client.wait(f"status_{target}_Submitted")
    client.reqPositions()
    client.wait("positions_end")
    client.cancelOrder(target)
    client.wait(f"status_{target}_Cancelled")
    return {"version": client.serverVersion(), "entry": entry, "target": target, "stop": stop, **client.told}


def main() -> int:
    """Connect to the port given on the command line; 0 and a JSON document, or 1 and the reason."""
    client = Client()
    client.connect("127.0.0.1", int(sys.argv[1]), 7)
    reading = threading.Thread(target=client.run, daemon=True)
    reading.start()
    try:
        seen = trade(client)
    except TimeoutError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        client.disconnect()
    reading.join(SECONDS)
    print(json.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
