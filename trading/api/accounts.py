"""Whose figures a request asks for, within the limits of its key."""

from __future__ import annotations

from rest_framework.request import Request

from autotrader.core.rest.limits import KeyLimited, limits_of
from trading.models import Account
from trading.selectors.accounts import UnknownAccount, account_last_seen, account_named


def account_for(request: Request, name: str | None) -> Account:
    """The account of this name, or without one the broker's that was last seen. Raises KeyLimited, UnknownAccount."""
    limits = limits_of(request)
    if name is not None:
        if not limits.allows_account(name):
            raise KeyLimited("This key is limited to other accounts.")
        return account_named(name)
    found = account_last_seen(limits.accounts)
    if found is None:
        if limits.accounts:
            raise KeyLimited("This key is limited to other accounts.")
        raise UnknownAccount("No account of the broker's is known yet.")
    return found


def refuse_strategy_limited(request: Request) -> None:
    """Raise KeyLimited for a key of single strategies: what an account holds or gains belongs to all of them."""
    if limits_of(request).strategies:
        raise KeyLimited("This is the whole account's; this key is limited to strategies. Ask for its performance.")
