"""The market beside an approval's question, asked so that a broker that hangs holds up no page of the admin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from autotrader.core.errors import AutoTraderError
from trading.models import Approval
from trading.workflow.approving import Glance, glance

# The port itself gives a quote 15 s; a page of the admin is not renewed, so it waits a little longer than the others.
WAIT_S = 2.0
_pool = ThreadPoolExecutor(4, thread_name_prefix="glances")


def glance_within(approval: Approval) -> Glance:
    """What the broker says now, or why it says nothing; after at most WAIT_S."""
    asked = _pool.submit(_glance, approval)
    try:
        return asked.result(WAIT_S)
    except TimeoutError:
        asked.cancel()  # it may still wait for those that hang
        return Glance(None, "", problem=f"The broker has not answered for {WAIT_S:.0f} s.")


def _glance(approval: Approval) -> Glance:
    try:
        return glance(approval)
    except AutoTraderError as error:
        return Glance(None, "", problem=error.message)
    finally:
        connection.close()  # an owner in this process may have looked the contract up
