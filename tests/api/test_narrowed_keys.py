"""A key that is narrowed is told no more than that, whatever it has asked for before."""

from __future__ import annotations

from typing import Any

import pytest

from autotrader.core.clock import system_now
from autotrader.core.rest.idempotency import digest_of
from autotrader.core.rest.models import KeptAnswer
from autotrader.core.users.key_ring import forget_keys_of
from autotrader.core.users.limits import UNLIMITED, KeyLimited, Limits
from autotrader.core.users.models import ApiKey
from broker.remote import RemoteBroker
from tests.api.asking import Asker, code_of, program
from tests.trading.builders import instrument, strategy
from trading.models import OrderRequest, Strategy
from trading.services.accounts import account_ensure
from trading.services.cycles import cycle_queue
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


RIGHTS = ("trading.change_strategy", "trading.add_strategy", "trading.run_cycle", "trading.request_order")


def robot() -> Asker:
    return program("rob", *RIGHTS, scopes=("admin", "trade"))


def narrowed(asker: Asker, *strategies: Strategy) -> None:
    """The key covers these from now on."""
    key = ApiKey.objects.get(prefix=asker.prefix)
    ApiKey.objects.filter(pk=key.pk).update(strategies=[row.pk for row in strategies])
    forget_keys_of(key.user)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["strategies/{pk}/disable", "strategies/{pk}", "cycles", "cycles/{cycle}/cancel"])
def test_a_kept_answer_is_told_again_only_of_what_the_key_covers_by_now(path: str) -> None:
    mine, other = strategy("mine"), strategy("other", ("IBM",))
    asker = robot()
    cycle = cycle_queue(strategies=[mine], trigger="api", actor="rob", lane="test", wake=False)
    method, body = {"strategies/{pk}": ("patch", {"version": mine.version, "priority": 3})}.get(path, ("post", {}))
    body = {"strategies": ["mine"]} if path == "cycles" else body
    path = path.format(pk=mine.pk, cycle=cycle.pk)
    first = asker.send(method, path, body, key="one")
    assert first.status_code < 300, first.content
    for covered, told in (([mine], first.json()), ([mine, other], first.json()), ([other], None)):
        narrowed(asker, *covered)
        again = asker.send(method, path, body, key="one")
        assert code_of(again) == ((first.status_code, "") if told else (403, "KEY_LIMITED"))
        assert again.json() == told or not told


@pytest.mark.django_db(transaction=True)
def test_what_limited_keys_may_not_do_is_not_told_to_them_either() -> None:
    row, asker = strategy("mine"), robot()
    body = {"name": "new", "workflow_version": row.workflow_version_id, "risk_profile": row.risk_profile_id}
    body |= {"mode": "approve", "instruments": [instrument().pk], "parameters": {"period_1": "2 Y", "bar_1": "1 day"}}
    assert asker.post("strategies", body, key="one").status_code == 201
    narrowed(asker, row)
    assert code_of(asker.post("strategies", body, key="one")) == (403, "KEY_LIMITED")


@pytest.mark.django_db(transaction=True)
def test_a_preview_is_of_its_account_and_strategy() -> None:
    mine, other, asker = strategy("mine"), strategy("other", ("IBM",)), robot()
    path, body = "/api/orders/preview", {"strategy": "mine"}
    KeptAnswer.objects.create(
        client=f"key:{asker.prefix}", key="one", method="POST", path=path, body_hash=digest_of("POST", path, body),
        correlation_id="first", created_at=system_now(), status=200, body='{"terms": {"account": "DU1"}}',
    )  # fmt: skip
    for covered, code in ((mine, (200, "")), (other, (403, "KEY_LIMITED"))):
        narrowed(asker, covered)
        assert code_of(asker.post("orders/preview", body, key="one")) == code
    ApiKey.objects.update(strategies=[], accounts=["DU2"])
    forget_keys_of(ApiKey.objects.get().user)
    assert code_of(asker.post("orders/preview", body, key="one")) == (403, "KEY_LIMITED")
