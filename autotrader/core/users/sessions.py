"""The sessions of people: Django's own, of which none is looked up by what cannot be the name of one."""

from __future__ import annotations

import re

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

NAME = re.compile(r"[a-z0-9]{32}", re.ASCII)


def is_session_name(text: str) -> bool:
    """Whether Django may have made it; a cookie may hold anything, a NUL too, which PostgreSQL takes in no query."""
    return NAME.fullmatch(text) is not None


class SessionStore(DatabaseStore):
    """Rows of the table of sessions."""

    def _validate_session_key(self, key: object) -> bool:
        return isinstance(key, str) and is_session_name(key)
