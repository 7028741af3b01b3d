"""What pages above may show of the broker's own records; the template library `broker_evidence`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django import template

from broker.models import BrokerMessage, Submission

register = template.Library()
SHOWN_MESSAGES = 100


@dataclass(frozen=True, slots=True)
class Evidence:
    """The frames of some orders, and what the broker said of them."""

    submissions: list[Submission]
    messages: list[BrokerMessage]


@register.simple_tag
def broker_evidence(order_refs: Sequence[str]) -> Evidence:
    """The submissions and the broker's messages of these orders, oldest first."""
    messages = BrokerMessage.objects.filter(order_ref__in=order_refs).order_by("id")
    return Evidence(
        submissions=list(Submission.objects.filter(order_ref__in=order_refs).order_by("id")),
        messages=list(messages[:SHOWN_MESSAGES]),
    )


@register.simple_tag
def failed_broker_messages() -> int:
    """How many messages of the broker could not be applied yet."""
    return BrokerMessage.objects.filter(state=BrokerMessage.State.ERROR).count()
