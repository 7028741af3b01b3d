"""`work(lane)`: claim free rows, run each in a thread of its own, close cycles that have ended."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.conf import settings
from django.db import close_old_connections, connection

from autotrader.core import audit
from autotrader.core.errors import AutoTraderError
from autotrader.core.ops.pace import paced
from broker import get_broker
from broker.errors import BrokerUnavailable
from broker.port import Broker
from trading.models import Cycle, Dispatch
from trading.selectors.approvals import claimable_dispatches
from trading.selectors.executions import claimable, closable_cycles, unfinished
from trading.services.cycles import cycle_close, cycle_fail
from trading.services.dispatch_work import dispatch_work, requests_refuse
from trading.services.dispatches import dispatch_claim
from trading.services.executions import Work, execution_claim, worker_name
from trading.services.snapshots import cycle_snapshots
from trading.workflow.engine import execute

logger = logging.getLogger(__name__)
NO_NEW_CLAIM_AFTER = paced(60)


def work(lane: str) -> bool:
    """Run what is free in the lane; True where work was left when the time for new claims was over.

    Nothing to claim returns at once, without a broker. A broker that is away leaves the rows for the next wake, except
    those of cycles that wait for it already and of requests: they fail with the reason.
    """
    if not _is_free(lane):
        return False
    try:
        with get_broker() as broker:
            _drain_lane(lane, broker, None, NO_NEW_CLAIM_AFTER)
            close_ended(broker)
    except BrokerUnavailable as error:
        _fail_waiting(lane, error.message)
        requests_refuse(lane, error)
        return False
    return _is_free(lane)


def _is_free(lane: str) -> bool:
    return claimable(lane).exists() or claimable_dispatches(lane).exists()


def run_cycle_here(cycle: Cycle, broker: Broker) -> None:
    """Run one cycle's executions in this process until all have ended, through the same claims as a worker."""
    lane = cycle.executions.values_list("lane", flat=True).first() or "work"
    while unfinished(cycle.pk).exists():
        if not _drain_lane(lane, broker, cycle.pk, None):
            time.sleep(0.1)
    close_ended(broker)


def _drain_lane(lane: str, broker: Broker, cycle_id: int | None, seconds: float | None) -> int:
    """Claim and run until nothing is free; the number of executions run. Ends without waiting for stuck threads."""
    pool = ThreadPoolExecutor(settings.AUTOTRADER_IN_FLIGHT, thread_name_prefix=lane)
    until = None if seconds is None else time.monotonic() + seconds
    running: set[Future[None]] = set()
    count = 0
    try:
        while True:
            in_time = until is None or time.monotonic() < until
            room = len(running) < settings.AUTOTRADER_IN_FLIGHT
            claimed = _claim(lane, cycle_id) if room and in_time else None
            if claimed is not None:
                count += 1
                running.add(pool.submit(_run_one, claimed, broker))
                continue
            if not running:
                return count
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
    finally:
        # Never `with`: waiting for a stuck thread would defeat the queue's time-out.
        pool.shutdown(wait=False, cancel_futures=True)


def _claim(lane: str, cycle_id: int | None) -> Work | None:
    """The next free row; what a person approved goes before what a schedule wants."""
    dispatch = dispatch_claim(worker_name(), lane) if cycle_id is None else None
    return dispatch or execution_claim(lane, worker_name(), cycle_id)


def _run_one(work: Work, broker: Broker) -> None:
    close_old_connections()
    try:
        if isinstance(work, Dispatch):
            dispatch_work(work, broker)
        else:
            execute(work, broker)
    finally:
        connection.close()


def close_ended(broker: Broker) -> None:
    """End the cycles whose executions have all ended, each with a snapshot of the account."""
    for cycle in closable_cycles():
        if cycle_close(cycle):
            with audit.acting(actor="cycle", correlation_id=cycle.correlation_id):
                cycle_snapshots(broker, cycle)


def _fail_waiting(lane: str, reason: str) -> None:
    waiting = Cycle.objects.filter(executions__in=claimable(lane).order_by(), state="QUEUED").distinct()
    for cycle in waiting:
        try:
            cycle_fail(cycle, f"BROKER_UNAVAILABLE: {reason}")
        except AutoTraderError:
            logger.info("cycle %s was ended by somebody else", cycle.pk)
