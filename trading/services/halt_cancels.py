"""What the kill switch's cancels have come to: in doubt after a minute they are a difference, until they are proven."""

from __future__ import annotations

from broker import types
from trading.models import Account, Order
from trading.models.account import AccountKind
from trading.models.discrepancy import DiscrepancyKind
from trading.models.order import AT_BROKER, Role
from trading.services.accounts import account_ensure
from trading.services.discrepancies import discrepancy_open, discrepancy_settle

SUBJECT = "halt:1"
AT_A_BROKER = (AccountKind.PAPER, AccountKind.LIVE)


def cancels_report_apply(event: types.CancelsReport) -> None:
    """Raise or settle the difference; call inside `audit.recording()`. Trading is halted anyway, so it blocks nothing.

    An owner that has had no connection yet cannot say for which account it speaks: then it is those with orders of
    ours that may still fill.
    """
    for account_id in [event.account] if event.account else _accounts_in_doubt():
        if event.done:
            cause = f"{event.confirmed} of {event.asked} asked: {event.detail}"
            discrepancy_settle(account_id, DiscrepancyKind.CANCEL, SUBJECT, cause=cause, market_at=event.time)
            continue
        account_ensure(account_id)
        discrepancy_open(
            account_id,
            DiscrepancyKind.CANCEL,
            SUBJECT,
            detail=f"The kill switch asked {event.asked} orders to end; {event.confirmed} are proven to have ended. "
            f"In doubt: {', '.join(event.working) or 'what the broker holds'} ({event.detail}).",
            market_at=event.time,
            ours=f"{event.asked} asked",
            theirs=f"{event.confirmed} confirmed",
            blocking=False,
            document={"run": event.run, "cancel": event.cancel, "working": list(event.working)},
            difference=event.run,
        )


def _accounts_in_doubt() -> list[str]:
    entries = Order.objects.filter(role=Role.ENTRY, state__in=AT_BROKER, account__kind__in=AT_A_BROKER)
    return list(Account.objects.filter(pk__in=entries.values("account")).values_list("pk", flat=True))
