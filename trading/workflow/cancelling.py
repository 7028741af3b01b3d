"""Going on with cancels that nobody has answered: whoever asked may have died before the frame left."""

from __future__ import annotations

import logging

from autotrader.core.clock import system_now
from broker import get_broker
from broker.errors import BrokerUnavailable
from trading.services.cancels import cancels_show_unproven, cancels_tell_again, overdue

logger = logging.getLogger(__name__)


def tell_again() -> int:
    """Tell the broker again of every cancel that is overdue; the number told, 0 where the broker is away.

    What stays unproven becomes a difference that a person sees, either way.
    """
    now = system_now()
    if not overdue(now).exists():
        return 0
    try:
        with get_broker() as broker:
            return cancels_tell_again(broker, now)
    except BrokerUnavailable as error:
        logger.warning("cancels wait for the broker: %s", error.message)
        cancels_show_unproven(now)
        return 0
