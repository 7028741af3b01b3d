"""What a key is limited to, and the refusal of everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autotrader.core.errors import AutoTraderError

# What no row is called: a limit that cannot be read allows nothing.
NO_ACCOUNT, NO_STRATEGY = "?", 0


class KeyLimited(AutoTraderError):
    """The key is limited to other accounts or strategies: use one that covers what you ask about."""

    code = "KEY_LIMITED"
    status = 403


@dataclass(frozen=True, slots=True)
class Limits:
    """Account ids and primary keys of strategies; an empty set does not limit. What cannot be told is refused."""

    accounts: frozenset[str] = frozenset()
    strategies: frozenset[int] = frozenset()

    @property
    def is_limited(self) -> bool:
        """True where anything is refused at all."""
        return bool(self.accounts or self.strategies)

    def allows_account(self, account: str | None) -> bool:
        """May the key see or use this account? One that is not known is refused to a limited key."""
        return not self.accounts or account in self.accounts

    def allows_strategy(self, strategy: int | None) -> bool:
        """May the key see or use this strategy? What belongs to none is refused to a limited key."""
        return not self.strategies or strategy in self.strategies

    def check(self, *, account: str | None, strategy: int | None) -> None:
        """Raise KeyLimited unless both are allowed; the message does not tell whether they exist."""
        if not (self.allows_account(account) and self.allows_strategy(strategy)):
            raise KeyLimited("This key is limited to other accounts or strategies.")


UNLIMITED = Limits()


def limits_from(accounts: Any, strategies: Any) -> Limits:
    """The limits as a key's row holds them; what is not a list of ids allows nothing."""
    return Limits(_ids(accounts, str, NO_ACCOUNT), _ids(strategies, int, NO_STRATEGY))


def _ids(value: Any, kind: type, none: Any) -> frozenset[Any]:
    sound = isinstance(value, list) and all(type(item) is kind and item for item in value)
    return frozenset(value) if sound else frozenset({none})
