"""Sender and resolver race for one key: one of them wins, and nothing leaves twice."""

from __future__ import annotations

import random
from decimal import Decimal
from functools import partial

import pytest

from broker import types
from broker.models import Submission
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.service import submissions
from broker.service.owner import Owner
from tests.broker_service.house import ACCOUNT, NOW, bracket, placed_frames, request
from tests.support import in_threads


def send(order: types.PlaceOrder) -> submissions.Claim:
    """What a sender does before its first byte."""
    return submissions.claim(submissions.place_rows(order, NOW))


def resolve(order: types.PlaceOrder) -> submissions.Claim:
    """What a resolver does with an intent that has no Submission."""
    intent = types.UnresolvedIntent(order.account, order.legs[1].order_ref, "SENDING", NOW)
    return submissions.claim([submissions.void_row(intent, "none", NOW)])


@pytest.mark.parametrize("sender_first", [True, False])
def test_the_first_insert_decides(sender_first: bool) -> None:
    order = request(1, ACCOUNT, Decimal(100), "G1")
    first, second = (send, resolve) if sender_first else (resolve, send)
    assert first(order).won
    lost = second(order)
    assert not lost.won
    assert lost.void is not sender_first


def test_of_three_hundred_races_each_has_one_winner() -> None:
    orders = [request(1, ACCOUNT, Decimal(100), f"R{number}") for number in range(300)]
    sides = random.Random(7)
    pairs = [(send, resolve) if sides.random() < 0.5 else (resolve, send) for _ in orders]
    jobs = [partial(work, order) for order, pair in zip(orders, pairs, strict=True) for work in pair]
    claims = in_threads(jobs, threads=8)
    won = 0
    for order, pair, first, second in zip(orders, pairs, claims[0::2], claims[1::2], strict=True):
        sent, voided = (first, second) if pair[0] is send else (second, first)
        assert sent.won != voided.won
        won += sent.won
        assert sent.void == voided.void != sent.won
        refs = [leg.order_ref for leg in order.legs]
        states = set(Submission.objects.filter(order_ref__in=refs).values_list("state", flat=True))
        assert states == ({"SENT"} if sent.won else {"VOID"})
    assert 0 < won < len(orders)


def test_one_order_placed_by_many_at_once_leaves_once(owner: Owner, gateway: EmbeddedGateway) -> None:
    order = bracket(owner.broker)
    outcomes = in_threads([partial(owner.broker.place, order)] * 8, threads=8)
    assert [outcome.legs[0].repeated for outcome in outcomes].count(False) == 1
    assert placed_frames(gateway) == 3
