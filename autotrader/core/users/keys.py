"""API keys: how they are written, what their scopes open, and making, changing and revoking them."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from autotrader.core import audit
from autotrader.core.audit.event_types import EventType
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError, Conflict, Invalid
from autotrader.core.users.models import ApiKey, Scope, User

KEY = re.compile(r"at_([a-z0-9]{8})_[A-Za-z0-9_-]{43}", re.ASCII)
ALPHABET = string.ascii_lowercase + string.digits
PREFIX_LENGTH, SECRET_BYTES = 8, 32
DEFAULT_DAYS, LONGEST_DAYS = 90, 366
DEFAULT_PER_MINUTE, MOST_PER_MINUTE = 600, 60_000
LONGEST_NAME, LONGEST_ID, MOST_IDS = 80, 40, 200
ACTIVE, EXPIRED, REVOKED, DISABLED = "ACTIVE", "EXPIRED", "REVOKED", "DISABLED"


class KeyNotAllowed(AutoTraderError):
    """This key may not be made by this person: ask somebody who may do all that its owner may."""

    code = "KEY_NOT_ALLOWED"
    status = 403


@dataclass(frozen=True, slots=True)
class Terms:
    """What a person decides about a key. Empty `accounts` (ids) and `strategies` (primary keys) do not limit it."""

    name: str
    scopes: tuple[str, ...]
    expires_at: datetime
    accounts: tuple[str, ...] = ()
    strategies: tuple[int, ...] = ()
    requests_per_minute: int = DEFAULT_PER_MINUTE


def scopes_for(permission: str, *, is_read: bool) -> frozenset[str]:
    """The scopes of which a key needs one, beside its owner's permission; `permission` is "" for every login."""
    codename = permission.partition(".")[2]
    if codename.startswith("view_") or (not permission and is_read):
        return frozenset({Scope.READ})
    if permission == "trading.request_order":
        return frozenset({Scope.PROPOSE, Scope.TRADE})
    return frozenset({Scope.HALT} if permission == "trading.halt_trading" else {Scope.ADMIN})


def prefix_of(text: str) -> str:
    """The part by which people name the key; "" where this is not written like one."""
    found = KEY.fullmatch(text)
    return found.group(1) if found else ""


def scopes_of(key: Any) -> frozenset[str]:
    """The scopes of a key's row; none where they cannot be read, or where this is no key of ours."""
    scopes = key.scopes if isinstance(key, ApiKey) else None
    return frozenset(scope for scope in scopes if scope in Scope.values) if isinstance(scopes, list) else frozenset()


def shown_key(authorization: str, api_key: str) -> str | None:
    """The key that the headers show, None where they show none; two that differ are no key at all."""
    scheme, _, text = authorization.strip().partition(" ")
    shown = {text.strip()} if scheme.lower() == "bearer" else set()
    if api_key.strip():
        shown.add(api_key.strip())
    if not shown:
        return None
    return shown.pop() if len(shown) == 1 else ""


def digest_of(text: str) -> str:
    """What is stored of a key: the SHA-256 of its text. 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def state_of(key: ApiKey, now: datetime) -> str:
    """ACTIVE, or the first reason why it opens nothing."""
    if key.revoked_at is not None:
        return REVOKED
    if key.expires_at <= now:
        return EXPIRED
    return ACTIVE if key.user.is_active else DISABLED


def live_keys(now: datetime) -> QuerySet[ApiKey]:
    """The keys that open something: what is revoked, expired or disabled is told nowhere apart from what is unknown."""
    return ApiKey.objects.filter(revoked_at=None, expires_at__gt=now, user__is_active=True)


def default_expiry(now: datetime) -> datetime:
    """When a key ends whose maker says nothing else."""
    return now + timedelta(days=DEFAULT_DAYS)


def key_create(terms: Terms, *, user: User, actor: str, maker: User | None = None) -> tuple[ApiKey, str]:
    """Make a key that acts for `user`; gives the row and the text, which is nowhere else and cannot be had again.

    `maker` is the person who asks, None for the shell. Raises Invalid naming the field, KeyNotAllowed where the owner
    may do more than the maker.
    """
    key_check(terms, user=user, maker=maker)
    prefix = "".join(secrets.choice(ALPHABET) for _ in range(PREFIX_LENGTH))
    text = f"at_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    with audit.acting(actor=actor), audit.recording():
        key = ApiKey.objects.create(
            user=user,
            prefix=prefix,
            digest=digest_of(text),
            created_at=system_now(),
            created_by=actor[:80],
            **_columns(terms),
        )
        _record(EventType.API_KEY_CREATED, key, {})
    return key, text


def key_change(key: ApiKey, terms: Terms, *, actor: str, maker: User | None = None) -> ApiKey:
    """Give the key other terms; raises Conflict where it was changed or revoked since it was read, Invalid as above."""
    key_check(terms, user=key.user, maker=maker)
    return _save(key, EventType.API_KEY_CHANGED, actor, _columns(terms))


def key_check(terms: Terms, *, user: User, maker: User | None) -> None:
    """Raise what making or changing a key with these terms would raise."""
    for name, is_wrong, message in _faults(terms, system_now()):
        if is_wrong:
            raise Invalid(message, details={"field": name})
    if not user.is_active:
        raise Invalid(f"{user.get_username()} is disabled.", details={"field": "user"})
    _refuse_gain(user, maker)


def key_revoke(key: ApiKey, *, actor: str) -> ApiKey:
    """End the key for good; every process refuses it within five seconds. A key that has ended stays as it is."""
    if key.revoked_at is not None:
        return key
    return _save(key, EventType.API_KEY_REVOKED, actor, {"revoked_at": system_now(), "revoked_by": actor[:80]})


def terms_of(key: ApiKey) -> Terms:
    """The terms as they stand."""
    return Terms(
        key.name, tuple(key.scopes), key.expires_at, tuple(key.accounts), tuple(key.strategies), key.requests_per_minute
    )


def _save(key: ApiKey, kind: EventType, actor: str, changes: dict[str, Any]) -> ApiKey:
    from autotrader.core.users.key_ring import RING

    with audit.acting(actor=actor), audit.recording():
        before = _document(ApiKey.objects.select_related("user").get(pk=key.pk))
        rows = ApiKey.objects.filter(pk=key.pk, version=key.version, revoked_at=None)
        if rows.update(version=F("version") + 1, **changes) != 1:
            raise Conflict(f"The key {key.prefix} changed meanwhile; read it again.")
        key.refresh_from_db()
        _record(kind, key, before)
        transaction.on_commit(lambda: RING.forget(key.digest))
    return key


def _columns(terms: Terms) -> dict[str, Any]:
    lists = {name: list(getattr(terms, name)) for name in ("scopes", "accounts", "strategies")}
    return {**asdict(terms), **lists}


def _faults(terms: Terms, now: datetime) -> Iterable[tuple[str, bool, str]]:
    name = terms.name
    unknown = [scope for scope in terms.scopes if scope not in Scope.values]
    sound = bool(name.strip()) and len(name) <= LONGEST_NAME and name.isprintable()
    yield "name", not sound, f"Say what the key is for, in 1 to {LONGEST_NAME} printable characters."
    yield "scopes", not terms.scopes, f"Choose at least one scope: {', '.join(Scope.values)}."
    yield "scopes", bool(unknown), f"There is no scope {unknown[:1]}; there are {', '.join(Scope.values)}."
    longest = now + timedelta(days=LONGEST_DAYS)
    soon = terms.expires_at <= now or terms.expires_at > longest
    yield "expires_at", soon, f"A key must expire, in the future and within {LONGEST_DAYS} days."
    rate = terms.requests_per_minute
    yield "requests_per_minute", not 1 <= rate <= MOST_PER_MINUTE, f"From 1 to {MOST_PER_MINUTE} requests a minute."
    few = len(terms.accounts) <= MOST_IDS and len(terms.strategies) <= MOST_IDS
    yield "accounts", not few or not all(0 < len(account) <= LONGEST_ID for account in terms.accounts), "No such ids."
    yield "strategies", not few or not all(pk > 0 for pk in terms.strategies), "No such ids."


def _refuse_gain(owner: User, maker: User | None) -> None:
    """Nobody makes themselves a key by which they may do more than before."""
    if maker is None or maker.is_superuser or maker.pk == owner.pk:
        return
    if owner.is_superuser or not owner.get_all_permissions() <= maker.get_all_permissions():
        raise KeyNotAllowed(f"{owner.get_username()} may do more than you: only they can have a key made for that.")


def _document(key: ApiKey) -> dict[str, Any]:
    """What the audit log keeps of a key; nothing by which one could act."""
    return {**_columns(terms_of(key)), "user": key.user.get_username(), "prefix": key.prefix}


def _record(kind: EventType, key: ApiKey, before: dict[str, Any]) -> None:
    now = _document(key)
    changed = sorted(name for name, value in now.items() if before and before[name] != value)
    causes = {EventType.API_KEY_CHANGED: "changed: " + ", ".join(changed), EventType.API_KEY_REVOKED: "revoked"}
    document = {"changed": {name: [before[name], now[name]] for name in changed}, "now": now}
    audit.record(
        kind, f"api_key:{key.prefix}", version=key.version, cause=causes.get(kind, "created"), document=document
    )
