"""An order as it would be judged and what the broker says it would cost; nothing is placed and nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotrader.core.users.limits import UNLIMITED, Limits
from broker.port import Broker
from trading.risk.base import Verdict
from trading.risk.rules import judge
from trading.services.approvals import Needed, approval_needed, what_if
from trading.services.intents import terms_of
from trading.services.request_bodies import place_body, plain_body
from trading.services.request_intents import place_intent


@dataclass(frozen=True, slots=True)
class OrderPreview:
    """Every control's word, the exact order, whether persons would be asked, and the broker's margins and commission.

    `what_if` says why there are none where the broker gave none.
    """

    allowed: bool
    terms: dict[str, Any]
    verdicts: tuple[Verdict, ...]
    approval: Needed | None
    what_if: dict[str, Any]


def order_preview(
    body: Mapping[str, Any], broker: Broker, *, limits: Limits = UNLIMITED, must_be_approved: bool = False
) -> OrderPreview:
    """Judge a request to place at this moment; `limits` and `must_be_approved` are those of `order_request`.

    Raises KeyLimited, Invalid, Unknown and BrokerUnavailable as placing it would.
    """
    body_read = place_body(plain_body(body))
    intent = place_intent(body_read, broker, limits=limits, must_be_approved=must_be_approved)
    verdicts = tuple(judge(intent.proposal))
    return OrderPreview(
        allowed=all(verdict.allowed for verdict in verdicts),
        terms=terms_of(intent),
        verdicts=verdicts,
        approval=approval_needed(intent),
        what_if=what_if(broker, intent),
    )
