"""What is traded and when."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

from autotrader.core.money import price_field, quantity_field


class Instrument(models.Model):
    """A tradable contract; its broker's id is filled in when it is first resolved."""

    symbol = models.CharField(
        max_length=20,
        validators=[RegexValidator(r"^[A-Z0-9][A-Z0-9. ]*$", "Write it as the broker does, in capitals.")],
    )
    sec_type = models.CharField(max_length=10, default="STK")
    exchange = models.CharField(max_length=20, default="SMART")
    currency = models.CharField(max_length=3, default="USD")
    primary_exchange = models.CharField(max_length=20, blank=True)
    con_id = models.BigIntegerField(null=True, blank=True, unique=True)
    name = models.CharField(max_length=120, blank=True)
    tick = price_field(null=True, blank=True)
    lot = quantity_field(null=True, blank=True)
    time_zone = models.CharField(max_length=40, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["symbol"]
        constraints = [
            models.UniqueConstraint(fields=["symbol", "sec_type", "exchange", "currency"], name="instrument_once")
        ]

    def __str__(self) -> str:
        return self.symbol


class Session(models.Model):
    """One regular session of an exchange, as the contract's liquid hours (in a replay: its bars) say."""

    exchange = models.CharField(max_length=20)
    day = models.DateField()
    open = models.DateTimeField()
    close = models.DateTimeField()

    class Meta:
        ordering = ["-day"]
        constraints = [
            models.UniqueConstraint(fields=["exchange", "day", "open"], name="session_once"),
            models.CheckConstraint(condition=models.Q(open__lt=models.F("close")), name="session_opens_first"),
        ]

    def __str__(self) -> str:
        return f"{self.exchange} {self.day}"
