"""Which account is meant, by its name or by none."""

from __future__ import annotations

from autotrader.core.errors import Invalid
from trading.models import Account, AccountSnapshot
from trading.models.account import AccountKind

AT_THE_BROKER = (AccountKind.PAPER, AccountKind.LIVE)


class UnknownAccount(Invalid):
    """No such account is known here: leave it out, or name one that the desk has traded."""

    code = "UNKNOWN_ACCOUNT"

    def __init__(self, message: str) -> None:
        super().__init__(message, details={"field": "account", "fields": {"account": message}})


def account_named(name: str) -> Account:
    """The account of this name. Raises UnknownAccount."""
    found = Account.objects.filter(pk=name).first()
    if found is None:
        raise UnknownAccount("There is no such account here.")
    return found


def account_last_seen(allowed: frozenset[str]) -> Account | None:
    """The broker's account that was seen last, of those `allowed` where any are named; None where there is none."""
    real = Account.objects.filter(kind__in=AT_THE_BROKER)
    real = real.filter(pk__in=sorted(allowed)) if allowed else real
    last = AccountSnapshot.objects.filter(account__in=real).select_related("account").order_by("-id").first()
    return last.account if last is not None else real.order_by("-created_at").first()
