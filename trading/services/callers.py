"""Who asks something of the desk directly, and what they may end."""

from __future__ import annotations

from dataclasses import dataclass

from autotrader.core.users.limits import UNLIMITED, Limits
from trading.models import OrderRequest
from trading.services.request_refusals import OnlyProposes


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `client` tells apart whose keys are whose; `may_unprotect`: may leave a position without its stop.

    `limits` are those of an API key; `only_proposes`: it may take back what it proposed, and end nothing else.
    """

    client: str
    actor: str
    may_unprotect: bool = False
    limits: Limits = UNLIMITED
    only_proposes: bool = False

    def check_own(self, cause: OrderRequest | None) -> None:
        """A key that only proposes takes back what it asked for itself (`cause`); whether that still waits, its state
        tells. Raises OnlyProposes."""
        if cause is None or cause.client != self.client:
            self.check_may_end()

    def check_may_end(self) -> None:
        """Raises OnlyProposes for a key that may end nothing that was sent."""
        if self.only_proposes:
            raise OnlyProposes("This key may take back its own orders while they wait; all else needs the scope trade.")
