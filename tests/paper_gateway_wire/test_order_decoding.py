"""Orders as ib_insync encodes them, with every block that is only sometimes there, at several versions."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from ib_insync import (
    ComboLeg,
    Contract,
    DeltaNeutralContract,
    ExecutionCondition,
    LimitOrder,
    MarginCondition,
    Order,
    OrderComboLeg,
    PercentChangeCondition,
    PriceCondition,
    Stock,
    StopOrder,
    TagValue,
    TimeCondition,
    VolumeCondition,
)
from ib_insync.client import Client

from broker.paper_gateway.types import GatewayError
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.orders_in import order_terms, read_order, refuse_unsimulated

VERSIONS = (157, 158, 160, 163, 167, 169, 170, 176)
CONDITIONS: list[Any] = [
    PriceCondition(price=10, conId=1, exch="SMART"),
    TimeCondition(time="20260302 15:00:00 UTC"),
    MarginCondition(percent=10),
    ExecutionCondition(secType="STK", exch="SMART", symbol="SPY"),
    VolumeCondition(volume=10, conId=1, exch="SMART"),
    PercentChangeCondition(changePercent=1.0, conId=1, exch="SMART"),
]


def encoded(order: Order, contract: Contract, version: int) -> list[str]:
    """The fields that ib_insync's own encoder puts on the wire."""
    client = Client(wrapper=None)
    client.connState = client.CONNECTED
    client._serverVersion = version
    sent: list[str] = []
    client.sendMsg = sent.append
    client.placeOrder(7, contract, order)
    return sent[0].split("\0")[:-1]


def decoded(fields: list[str], version: int) -> tuple[dict[str, str], FieldReader]:
    """The order fields by name, and the reader at the end of the message."""
    reader = FieldReader(fields)
    reader.skip(2)
    return read_order(reader, version), reader


BLOCKS: dict[str, Callable[[Order, Contract], None]] = {
    "plain": lambda order, contract: None,
    "conditions": lambda order, contract: order.conditions.extend(CONDITIONS),
    "algorithm": lambda order, contract: order.__dict__.update(algoStrategy="Twap", algoParams=[TagValue("a", "b")]),
    "empty algorithm": lambda order, contract: order.__dict__.update(algoStrategy="Adaptive"),
    "hedge": lambda order, contract: order.__dict__.update(hedgeType="D", hedgeParam="0.5"),
    "scale": lambda order, contract: order.__dict__.update(scalePriceIncrement=0.1),
    "delta neutral order": lambda order, contract: order.__dict__.update(deltaNeutralOrderType="MKT"),
    "delta neutral contract": lambda order, contract: contract.__dict__.update(
        deltaNeutralContract=DeltaNeutralContract(1, 0.5, 10.0)
    ),
    "pegged to benchmark": lambda order, contract: order.__dict__.update(orderType="PEG BENCH"),
    "pegged to best": lambda order, contract: order.__dict__.update(orderType="PEG BEST"),
    "pegged up to midpoint": lambda order, contract: order.__dict__.update(
        orderType="PEG BEST", competeAgainstBestOffset=math.inf
    ),
    "pegged to midpoint": lambda order, contract: order.__dict__.update(orderType="PEG MID"),
    "ats": lambda order, contract: contract.__dict__.update(exchange="IBKRATS"),
    "combination": lambda order, contract: (
        contract.__dict__.update(secType="BAG", comboLegs=[ComboLeg(1, 1, "BUY", "SMART")] * 2),
        order.__dict__.update(orderComboLegs=[OrderComboLeg(1.0)], smartComboRoutingParams=[TagValue("x", "y")]),
    )[0],
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_every_field_is_read_and_none_is_left(block: str, version: int) -> None:
    order, contract = LimitOrder("BUY", 10, 99.5, orderRef="ref"), Stock("SPY", "SMART", "USD")
    BLOCKS[block](order, contract)
    fields = encoded(order, contract, version)
    wire, reader = decoded(fields, version)
    with pytest.raises(Exception, match="missing"):
        reader.text()
    assert wire["order_ref"] == "ref"
    assert wire["use_price_mgmt_algo"] in {"", "0"}


@pytest.mark.parametrize(("version", "count"), [(157, 110), (176, 115)])
def test_plain_order_has_the_documented_length(version: int, count: int) -> None:
    assert len(encoded(LimitOrder("BUY", 10, 99.5), Stock("SPY", "SMART", "USD"), version)) == count


@pytest.mark.parametrize(
    "block", ["conditions", "algorithm", "hedge", "scale", "delta neutral order", "delta neutral contract"]
)
def test_what_is_not_simulated_is_refused(block: str) -> None:
    order, contract = LimitOrder("BUY", 10, 99.5), Stock("SPY", "SMART", "USD")
    BLOCKS[block](order, contract)
    wire, _ = decoded(encoded(order, contract, 176), 176)
    with pytest.raises(GatewayError) as refused:
        refuse_unsimulated(wire)
    assert refused.value.code == 321


def test_terms_are_typed_and_the_rest_is_kept() -> None:
    order = StopOrder("SELL", 10, 90.25, parentId=6, ocaGroup="g", ocaType=3, tif="GTC", transmit=False)
    order.lmtPrice = 0.0  # as it comes back from an openOrder that ib_insync has read
    wire, _ = decoded(encoded(order, Stock("SPY", "SMART", "USD"), 176), 176)
    terms = order_terms(3, 7, 756733, "SPY", wire)
    assert (terms.client_id, terms.order_id, terms.con_id) == (3, 7, 756733)
    assert (terms.order_type, terms.aux_price, terms.limit_price) == ("STP", Decimal("90.25"), None)
    assert (terms.parent_id, terms.oca_group, terms.oca_type, terms.tif) == (6, "g", 3, "GTC")
    assert not terms.transmit
    assert terms.extra["exchange"] == "SMART"
    assert "order_ref" not in terms.extra


def test_a_short_message_is_refused_at_every_length() -> None:
    fields = encoded(LimitOrder("BUY", 10, 99.5), Stock("SPY", "SMART", "USD"), 176)
    for length in range(2, len(fields)):
        with pytest.raises(Exception, match="missing"):
            decoded(fields[:length], 176)
