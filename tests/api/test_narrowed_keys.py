"""A key that is narrowed is told no more than that, whatever it has asked for before."""

from __future__ import annotations

from typing import Any

import pytest

from autotrader.core.clock import system_now
from autotrader.core.users.limits import UNLIMITED, KeyLimited, Limits
from broker.remote import RemoteBroker
from trading.models import OrderRequest
from trading.services.accounts import account_ensure
from trading.services.requests import Caller, cancel_request, modify_request, order_request

AWAY = RemoteBroker("http://127.0.0.1:1", "secret")
ELSEWHERE = (Limits(accounts=frozenset({"DU2"})), Limits(strategies=frozenset({7})))
SAME: dict[str, Any] = {"key": "1", "body": {"order_ref": "x"}, "broker": AWAY}
ASKED = {
    "place": lambda limits: order_request(client="key:k", actor="ann", limits=limits, **SAME),
    "modify": lambda limits: modify_request(caller=Caller("key:k", "ann", limits=limits), **SAME),
    "cancel": lambda limits: cancel_request(caller=Caller("key:k", "ann", limits=limits), **SAME),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", list(ASKED))
def test_a_repeat_tells_only_what_the_key_may_see_by_now(kind: str) -> None:
    first = ASKED[kind](UNLIMITED)
    changes = {"account": account_ensure("DU1"), "state": "ACCEPTED", "status": 0, "ended_at": system_now()}
    OrderRequest.objects.update(**changes)
    assert ASKED[kind](UNLIMITED).request == first.request
    assert ASKED[kind](Limits(accounts=frozenset({"DU1"}))).request == first.request
    for limits in ELSEWHERE:
        with pytest.raises(KeyLimited):
            ASKED[kind](limits)
