"""The limits of the key that asks: by account and by strategy. A person in a session has none."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.request import Request

from autotrader.core.users.limits import UNLIMITED, KeyLimited, Limits, limits_from
from autotrader.core.users.models import ApiKey

__all__ = ["UNLIMITED", "KeyLimited", "Limits", "limited_rows", "limits_of", "refuse_limited"]

M = TypeVar("M", bound=Model)


def limits_of(request: Request) -> Limits:
    """What the request is limited to; raises KeyLimited where that cannot be told."""
    if request.auth is None:
        return UNLIMITED
    if not isinstance(request.auth, ApiKey):
        raise KeyLimited("The limits of this login cannot be told.")
    return limits_from(request.auth.accounts, request.auth.strategies)


def refuse_limited(request: Request) -> None:
    """Raise KeyLimited for every limited key: for what belongs to the whole desk, or cannot be told apart."""
    if limits_of(request).is_limited:
        raise KeyLimited("This shows or changes the whole desk; this key is limited to accounts or strategies.")


def limited_rows(rows: QuerySet[M], limits: Limits, *, account: str = "", strategy: str = "") -> QuerySet[M]:
    """The rows that the limits allow; `account` and `strategy` are the fields' names, such as "order__account_id".

    Raises KeyLimited where the key is limited by something that these rows do not name.
    """
    for allowed, field in ((limits.accounts, account), (limits.strategies, strategy)):
        if allowed and not field:
            raise KeyLimited("This list cannot be told apart by what this key is limited to.")
        if allowed:
            named: dict[str, Any] = {f"{field}__in": sorted(allowed)}
            rows = rows.filter(**named)
    return rows
