"""Who logs in and how: the user model, the guarded password check, and the proxies that may name an address."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from autotrader.core.errors import ConfigInvalid
from autotrader.settings import env


def read() -> dict[str, Any]:
    """Django's settings of accounts."""
    return {
        "AUTH_USER_MODEL": "users.User",
        "AUTHENTICATION_BACKENDS": ["autotrader.core.users.backends.GuardedLogin"],
        "LOGIN_URL": "login",
        "LOGIN_REDIRECT_URL": "admin:index",
        "AUTH_PASSWORD_VALIDATORS": [
            {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
            for name, options in (
                ("UserAttributeSimilarityValidator", {}),
                ("MinimumLengthValidator", {"min_length": 15}),
                ("CommonPasswordValidator", {}),
            )
        ],
    }


def trusted_proxies() -> tuple[str, ...]:
    """Addresses and networks whose X-Forwarded-For is believed. Raises ConfigInvalid for what is neither."""
    given = env.words("AUTOTRADER_TRUSTED_PROXIES")
    for word in given:
        try:
            ip_network(word)
        except ValueError as error:
            message = f"AUTOTRADER_TRUSTED_PROXIES: {word} is no address and no network such as 10.0.0.0/8."
            raise ConfigInvalid(message) from error
    return given
