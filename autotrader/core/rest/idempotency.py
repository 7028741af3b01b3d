"""An unsafe request that comes again under its key is told the first answer, and nothing is done a second time."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, IntegrityError, transaction

from autotrader.core import audit
from autotrader.core.errors import Conflict
from autotrader.core.rest.models import KeptAnswer

logger = logging.getLogger(__name__)
# Longer than any endpoint works: whoever comes after it goes on in place of a process that has died.
LEASE = timedelta(seconds=120)
KEPT_FOR = timedelta(hours=24)
SWEPT_AT_ONCE = 1_000
SWEEP_S = 5.0
ROUNDS = 3
# Another login, a moment's patience or a mended desk would change these; every other refusal a repeat meets again.
NOT_KEPT = frozenset({401, 403, 408, 429})


class InProgress(Conflict):
    """The first request of this key is still worked on: ask again after a moment."""

    code = "IN_PROGRESS"
    retry_after = 1  # seconds


@dataclass(frozen=True, slots=True)
class Wish:
    """A request as it came: whose key, which key, and a digest of what is asked."""

    client: str
    key: str
    method: str
    path: str
    digest: str
    correlation_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Worked:
    """What the work came to. `undo`: it failed in a way that leaves nothing of it in the database."""

    response: Any
    status: int
    body: str
    waits: bool = False
    undo: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether a repeat is told this instead of being heard anew."""
        return self.status < 500 and self.status not in NOT_KEPT and not self.waits


class _Taken(Exception):
    """Another request holds the key."""


class _Undone(Exception):
    def __init__(self, worked: Worked) -> None:
        self.worked = worked


def digest_of(method: str, path: str, body: Mapping[str, Any], seen: str = "") -> str:
    """SHA-256 of what is asked, `seen` (If-Match) too; the order of fields is all one, a number and its text differ."""
    asked = [method, path, body, *([seen] if seen else [])]
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=_exact)
    return hashlib.sha256(text.encode()).hexdigest()


def _exact(value: object) -> dict[str, str]:
    # No client's field has this name: a NUL is refused where bodies are read.
    return {"\x00": str(value)}


def answer_once(
    wish: Wish, work: Callable[[], Worked], *, atomic: bool, again: Callable[[], Worked] | None = None
) -> Worked | KeptAnswer:
    """Do the work, or tell what it came to when it was done.

    `atomic`: the work touches the database alone, and commits together with its answer. Otherwise the key is kept
    first, and whoever finds it without an answer after LEASE does the work again, which must bear that; `again` is that
    work, where it differs.
    Raises Conflict IDEMPOTENCY_KEY_REUSED where the key stands for another request, InProgress while it is worked on.
    """
    for _ in range(ROUNDS):
        kept = KeptAnswer.objects.filter(client=wish.client, key=wish.key).first()
        try:
            if kept is None:
                return _together(wish, work) if atomic else _apart(_begin(wish), work)
            _same(kept, wish)
            if kept.status:
                return kept
            return _apart(_take_over(kept, wish), again or work)
        except _Taken:
            continue
    raise _in_progress(wish)


def answers_sweep(now: datetime) -> int:
    """Forget answers that are older than KEPT_FOR, the oldest first, for SWEEP_S at most; how many.

    A bounded number at once, so that nobody waits long for what it holds.
    """
    old = KeptAnswer.objects.filter(created_at__lt=now - KEPT_FOR).order_by("created_at")
    until, swept = time.monotonic() + SWEEP_S, 0
    while keys := list(old.values_list("pk", flat=True)[:SWEPT_AT_ONCE]):
        swept += KeptAnswer.objects.filter(pk__in=keys).delete()[0]
        if time.monotonic() >= until:
            break
    return swept


def _same(kept: KeptAnswer, wish: Wish) -> None:
    if kept.body_hash != wish.digest:
        raise Conflict(
            "This Idempotency-Key stands for another request already; use a new key for a new request.",
            code="IDEMPOTENCY_KEY_REUSED",
            details={"method": kept.method, "path": kept.path},
        )


def _in_progress(wish: Wish) -> InProgress:
    return InProgress(
        "The first request with this Idempotency-Key is still worked on; ask again in a second.",
        details={"key": wish.key},
    )


def _begin(wish: Wish) -> KeptAnswer:
    """The key is this request's from now on. Raises _Taken."""
    row = KeptAnswer(
        client=wish.client,
        key=wish.key,
        method=wish.method,
        path=wish.path[:200],
        body_hash=wish.digest,
        correlation_id=wish.correlation_id,
        created_at=wish.at,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
        return row
    except IntegrityError:
        raise _Taken from None


def _take_over(kept: KeptAnswer, wish: Wish) -> KeptAnswer:
    """Go on in place of a request whose process has died. Raises InProgress while it may still live."""
    if wish.at - kept.created_at < LEASE:
        raise _in_progress(wish)
    mine = {"correlation_id": wish.correlation_id, "created_at": wish.at}
    if not _held(kept).update(**mine):
        raise _Taken
    for name, value in mine.items():
        setattr(kept, name, value)
    return kept


def _held(kept: KeptAnswer) -> Any:
    """The row as long as it is worked on by the one who holds it now."""
    return KeptAnswer.objects.filter(pk=kept.pk, status=0, correlation_id=kept.correlation_id)


def _end(kept: KeptAnswer, worked: Worked) -> None:
    if worked.is_kept:
        _held(kept).update(status=worked.status, body=worked.body)
    else:
        _held(kept).delete()


def _together(wish: Wish, work: Callable[[], Worked]) -> Worked:
    """One transaction of key, work and answer; others with the same key wait for its end."""
    try:
        with audit.recording():
            kept = _begin(wish)
            worked = work()
            if worked.undo:
                raise _Undone(worked)
            _end(kept, worked)
            return worked
    except _Undone as undone:
        return undone.worked


def _apart(kept: KeptAnswer, work: Callable[[], Worked]) -> Worked:
    worked = work()
    try:
        _end(kept, worked)
    except DatabaseError:
        # The work is done, and its client is told so; a repeat is answered once the lease has passed.
        logger.exception("the answer under an Idempotency-Key could not be kept")
    return worked
