"""Who may come in where no view of Django's stands: a key or a session seen once, and whether it still holds."""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session

from autotrader.core.clock import system_now
from autotrader.core.rest.throttling import SESSION_PER_MINUTE, TooMany, count_call
from autotrader.core.users.key_ring import FRESH_S, find_key
from autotrader.core.users.keys import scopes_for, scopes_of, shown_key
from autotrader.core.users.limits import UNLIMITED, Limits, limits_from
from autotrader.core.users.models import ApiKey, User
from autotrader.core.users.sessions import is_session_name


@dataclass(frozen=True, slots=True)
class Credential:
    """By what somebody came in: a key's id, or a session's key and the hash of the password it began with."""

    user_id: int
    key_id: int | None = None
    session: str = ""
    password: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Whose buckets and streams are counted together: "key:<id>" or "user:<id>"."""
        return f"key:{self.key_id}" if self.key_id is not None else f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do, as the database said; `look_again_at` at the latest it is to be asked anew.

    `prefix` and `scopes` are the key's, "" and empty for a session. Two are equal where the same may be done.
    """

    credential: Credential
    username: str
    permissions: frozenset[str]
    is_superuser: bool
    prefix: str
    scopes: frozenset[str]
    limits: Limits
    requests_per_minute: int
    look_again_at: datetime = field(compare=False)

    @property
    def name(self) -> str:
        """Whose buckets and streams are counted together."""
        return self.credential.name

    def may(self, permission: str, *, is_read: bool = True) -> bool:
        """True where the person has the permission and, with a key, a scope covers it."""
        covered = self.credential.key_id is None or self.scopes & scopes_for(permission, is_read=is_read)
        return bool(covered) and (self.is_superuser or not permission or permission in self.permissions)


def access_of(headers: Mapping[str, str], cookies: Mapping[str, str], address: str = "") -> Access | None:
    """Who asks with these headers (lower-case names) and cookies; None for nobody.

    A key that is shown is the only thing that is looked at. It counts as a request before more is asked of the
    database. Sync; raises TooMany, also after too many bad keys of this address, and DatabaseError.
    """
    text = shown_key(headers.get("authorization", ""), headers.get("x-api-key", ""))
    if text is None:
        credential = _session(cookies.get(settings.SESSION_COOKIE_NAME, ""))
        per_minute = SESSION_PER_MINUTE
    else:
        found = find_key(text, address)
        if found.wait_s:
            raise TooMany(found.wait_s)
        credential = Credential(found.key.user_id, found.key.pk) if found.key is not None else None
        per_minute = found.key.requests_per_minute if found.key is not None else 0
    if credential is not None:
        count_call(credential.name, per_minute)
    return _look([credential], system_now()).get(credential) if credential is not None else None


def still_valid(accesses: Collection[Access]) -> set[Access]:
    """Those that may do exactly what they might at first: five queries, whatever their number.

    Gone are revoked, expired and changed keys, sessions that were logged out or have a new password, disabled people,
    and those whose permissions changed: they come in again, as what they are now. Sync; raises DatabaseError.
    """
    now = _look({access.credential for access in accesses}, system_now())
    return {access for access in accesses if now.get(access.credential) == access}


def _session(session: str) -> Credential | None:
    row = Session.objects.filter(session_key=session).first() if is_session_name(session) else None
    told = row.get_decoded() if row is not None else {}
    if told.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    return Credential(int(told[SESSION_KEY]), session=session, password=str(told.get(HASH_SESSION_KEY, "")))


def _look(credentials: Collection[Credential], now: datetime) -> dict[Credential, Access]:
    """What each of the credentials is good for now; those that are good for nothing are missing."""
    ids = {at.user_id for at in credentials}
    people = {user.pk: user for user in User.objects.filter(pk__in=ids, is_active=True)}
    permissions = _permissions([user.pk for user in people.values() if not user.is_superuser])
    keys = _keys({at.key_id for at in credentials if at.key_id is not None}, now)
    sessions = _sessions({at.session for at in credentials if at.session}, now)
    found = {}
    for at in credentials:
        user = people.get(at.user_id)
        key = keys.get(at.key_id) if at.key_id is not None else None
        holds = key.user_id == at.user_id if key is not None else at.session in sessions and _fits(at, user)
        if user is not None and holds:
            found[at] = _access(at, user, permissions[user.pk], key, now)
    return found


def _keys(ids: set[int], now: datetime) -> dict[int, ApiKey]:
    return {key.pk: key for key in ApiKey.objects.filter(pk__in=ids, revoked_at=None, expires_at__gt=now)}


def _sessions(names: set[str], now: datetime) -> set[str]:
    live = Session.objects.filter(session_key__in=names, expire_date__gt=now)
    return set(live.values_list("session_key", flat=True))


def _fits(at: Credential, user: User | None) -> bool:
    """A session ends with the password that it began with."""
    return user is not None and hmac.compare_digest(user.get_session_auth_hash(), at.password)


def _permissions(users: Iterable[int]) -> dict[int, frozenset[str]]:
    """Each person's own permissions and those of their groups, as "app.codename"."""
    ids = list(users)
    found: dict[int, set[str]] = defaultdict(set)
    for path in ("user", "group__user"):
        rows = Permission.objects.filter(**{f"{path}__in": ids})
        for pk, app, codename in rows.values_list(path, "content_type__app_label", "codename"):
            found[pk].add(f"{app}.{codename}")
    return defaultdict(frozenset, {pk: frozenset(names) for pk, names in found.items()})


def _access(at: Credential, user: User, permissions: frozenset[str], key: ApiKey | None, now: datetime) -> Access:
    soon = now + timedelta(seconds=FRESH_S)
    return Access(
        credential=at,
        username=user.get_username(),
        permissions=permissions,
        is_superuser=user.is_superuser,
        prefix=key.prefix if key is not None else "",
        scopes=scopes_of(key),
        limits=limits_from(key.accounts, key.strategies) if key is not None else UNLIMITED,
        requests_per_minute=key.requests_per_minute if key is not None else SESSION_PER_MINUTE,
        look_again_at=min(soon, key.expires_at) if key is not None else soon,
    )
