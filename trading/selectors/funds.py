"""Money that the broker's figures of the account may not show yet."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import F, Sum

from autotrader.core.money import quantize_money
from trading.models import Account, Fill
from trading.models.order import Role

ZERO = Decimal(0)


def bought_since(account: Account, since: datetime) -> Decimal:
    """What entries of this account have cost since a market time, in the base currency; short sales count alike."""
    fills = Fill.objects.filter(account=account, time__gt=since, superseded=False)
    spent = fills.filter(order__role=Role.ENTRY).aggregate(total=Sum(F("quantity") * F("price")))["total"]
    return quantize_money(Decimal(spent)) if spent else ZERO
