"""The history of the connection is told by its owner to other processes, with a connection and without one."""

from __future__ import annotations

from subprocess import Popen

import pytest

from broker import get_broker, types
from broker.errors import BrokerUnavailable
from broker.paper_gateway.control import ControlClient
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.port import Broker
from broker.remote import RemoteBroker
from tests.support import PATIENCE_S, eventually

pytestmark = pytest.mark.once


def told(broker: Broker) -> list[tuple[str, int]]:
    """Kinds and codes, oldest first."""
    return [(note.kind, note.code) for note in broker.connection_history(types.HistoryQuery())][::-1]


def test_another_process_is_told_what_happened(process: Popen[str], gateway: EmbeddedGateway) -> None:
    with get_broker() as broker:
        assert isinstance(broker, RemoteBroker)
        eventually(lambda: ("replayed", 0) in told(broker))
        assert told(broker)[0] == ("started", 0)
        with ControlClient(gateway.host, gateway.control_port) as control:
            control.fault("connectivity", restore=1102)
            eventually(lambda: ("broker_lost", 0) in told(broker))
            control.heal()
        eventually(lambda: told(broker)[-1] == ("replayed", 0))
        after = told(broker)
        lost = after.index(("code", 1100))
        assert after[lost + 1] == ("broker_lost", 0)
        assert ("code", 1102) in after[lost:]
        account = broker.account()
        assert account.received_at is not None
        gateway.fault("restart", lasts=600)
        eventually(lambda: ("lost", 0) in told(broker))
        eventually(lambda: told(broker)[-1] == ("refused", 0))
        with pytest.raises(BrokerUnavailable):
            broker.account()
        (newest,) = broker.connection_history(types.HistoryQuery(1))
        assert newest.kind == "refused"
    process.kill()
    process.wait(PATIENCE_S)
    with pytest.raises(BrokerUnavailable), get_broker(own=False) as broker:
        told(broker)
