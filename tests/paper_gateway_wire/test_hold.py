"""Two gateways never run on one store."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.hold import StoreHeld, held_address


def test_a_second_gateway_on_the_store_is_refused_naming_the_first(tmp_path: Path) -> None:
    store = tmp_path / "paper.sqlite3"
    with EmbeddedGateway(store_path=store) as first:
        assert held_address(store) == (first.host, first.port)
        with pytest.raises(StoreHeld, match=str(first.port)), EmbeddedGateway(store_path=store):
            pass

    assert held_address(store) is None
    with EmbeddedGateway(store_path=store) as again:
        assert again.account == first.account
