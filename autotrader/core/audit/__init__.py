"""The append-only, hash-chained log of what happened; also the outbox of the live feed.

Write with `with recording(): … record(…)`. The outermost frame is one transaction; its events are written at its end,
under the lock of the single AuditHead row, so `seq` follows the order of commits and that lock is always the last.
"""

from autotrader.core.audit.recorder import acting, current, recording
from autotrader.core.audit.recorder import record as record

__all__ = ["acting", "current", "record", "recording"]
