"""People with an account on this desk, and the keys by which programs act for them."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A person with an account on this desk."""


class Scope(models.TextChoices):
    """What a key may do of what its owner may do."""

    READ = "read", "Read: look at everything its owner may see"
    PROPOSE = "propose", "Propose: ask for orders that a person approves"
    TRADE = "trade", "Trade: place, change and cancel orders"
    HALT = "halt", "Halt: stop trading (never release it)"
    ADMIN = "admin", "Admin: whatever else its owner may do"


class ApiKey(models.Model):
    """A program's key: acts for `user`, never beyond what that person may do, and only within its scopes.

    The key is shown once and kept as the SHA-256 of its 256 random bits; `prefix` names it everywhere. Empty `accounts`
    or `strategies` do not limit it.
    """

    name = models.CharField(max_length=80, help_text="What it is for.")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys", help_text="Whom it acts for.")
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list, help_text="Of read, propose, trade, halt, admin.")
    accounts = models.JSONField(default=list, blank=True, help_text="Account ids; empty: every account.")
    strategies = models.JSONField(default=list, blank=True, help_text="Ids of strategies; empty: every strategy.")
    requests_per_minute = models.PositiveIntegerField(default=600)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(editable=False)
    created_by = models.CharField(max_length=80, editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_from = models.CharField(max_length=45, blank=True, editable=False, help_text="The caller's address.")
    revoked_at = models.DateTimeField(null=True, editable=False)
    revoked_by = models.CharField(max_length=80, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class KnownAddress(models.Model):
    """An address from which a person logged in: wrong passwords from elsewhere do not lock the name there."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_addresses")
    address = models.CharField(max_length=60, help_text="Of IPv6 the network of the line.")
    first_at = models.DateTimeField(editable=False)
    last_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["-last_at"]
        verbose_name_plural = "known addresses"
        constraints = [models.UniqueConstraint(fields=["user", "address"], name="address_known_once")]

    def __str__(self) -> str:
        return f"{self.user} at {self.address}"


class LoginAttempt(models.Model):
    """A password that is being looked at or was wrong; kept for half an hour, the name only as a digest."""

    name = models.CharField(max_length=64)
    place = models.CharField(max_length=60, help_text="An address, or the device or session counted instead.")
    is_known = models.BooleanField()
    is_own = models.BooleanField()
    at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["name", "-at"], name="attempts_of_name"),
            models.Index(fields=["place", "-at"], name="attempts_from_place"),
        ]
