"""The figures that belong to no single room: the calls to models, the queue's tasks, and the length of the log."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count, Q
from django_q.models import OrmQ

from autotrader.core.audit.models import AuditHead
from autotrader.core.ops import metrics
from autotrader.core.ops.figures import Figure
from autotrader.core.ops.tally import Counted, Tally
from research.models import ModelCall
from trading.selectors.figures import DeskFigures

CLUSTERS = ("work", "now")


class SiteFigures:
    """Asked again and again; what no longer changes is remembered."""

    def __init__(self) -> None:
        sums = ("tokens_in", "tokens_out", "cost")
        self._calls = Tally(Counted(ModelCall, "created_at", ("state",), sums, open=Q(state=ModelCall.State.OPEN)))

    def read(self, now: datetime) -> Iterable[Figure]:
        """Every figure, each equal to its rows at this moment."""
        calls = self._calls.read(now)
        yield Figure(
            "model_calls", "Paid calls to models.", "gauge", ("state",), {key: row[0] for key, row in calls.items()}
        )
        totals = [sum(row[place] for row in calls.values()) for place in (1, 2, 3)]
        tokens = {("in",): totals[0], ("out",): totals[1]}
        yield Figure("model_tokens", "Tokens of these calls.", "counter", ("way",), tokens)
        yield Figure("model_cost_usd", "What these calls cost.", "counter", (), {(): totals[2]})
        waiting = dict(OrmQ.objects.filter(key__in=CLUSTERS).values_list("key").annotate(rows=Count("pk")))
        tasks = {(cluster,): waiting.get(cluster, 0) for cluster in CLUSTERS}
        yield Figure("tasks_queued", "Wake-ups in the queue, taken ones too.", "gauge", ("cluster",), tasks)
        events = AuditHead.objects.values_list("seq", flat=True).get(pk=1)
        yield Figure("events", "Events in the audit log.", "counter", (), {(): events})


def connect() -> None:
    """Let the metrics tell the figures of all rooms; called once."""
    metrics.register(DeskFigures().read)
    metrics.register(SiteFigures().read)
