"""Short sales need shares to borrow: how many there are of each contract, and which orders lack them."""

from __future__ import annotations

from decimal import Decimal

from .checks import Refusal
from .ledger import Ledger
from .orders import ZERO, Order
from .pricing import Pricing

HELD = Refusal(
    404,
    "Shares for this order are not immediately available for short sale. The order will be held while we attempt to "
    "locate the shares.",
)


class ShortSales:
    """`given` are the numbers that were set by hand; elsewhere the contract's own number holds."""

    def __init__(self, market: Pricing, ledger: Ledger) -> None:
        self._market = market
        self._ledger = ledger
        self.given: dict[int, int] = {}

    def shares(self, con_id: int) -> int:
        """Shares of a contract that can be borrowed now."""
        return self.given.get(con_id, self._market.spec(con_id).shortable)

    def lacks_shares(self, order: Order) -> bool:
        """Whether an order sells more than is held and the rest cannot be borrowed; only stocks are borrowed.

        A child sells what its parent has bought.
        """
        con_id = order.terms.con_id
        if order.is_buy or order.parent_perm_id or self._market.spec(con_id).sec_type != "STK":
            return False
        short = self._short(order, self._ledger.quantity(con_id))
        return short > 0 and short > self.shares(con_id)

    @staticmethod
    def _short(order: Order, held: Decimal) -> Decimal:
        """How many shares of a sale have to be borrowed; SSHORT says that all of them have."""
        return order.remaining if order.terms.action == "SSHORT" else max(ZERO, order.remaining - max(ZERO, held))
