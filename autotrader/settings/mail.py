"""The mail server, from one address."""

from __future__ import annotations

from typing import Any

import environ

from autotrader.core.errors import ConfigInvalid
from autotrader.settings import env


def read(*, wanted: bool) -> dict[str, Any]:
    """Django's EMAIL_… settings. Raises ConfigInvalid where mail is wanted and no server is named."""
    address = env.secret("AUTOTRADER_MAIL_URL")
    if not address:
        if wanted:
            raise ConfigInvalid(
                "AUTOTRADER_ANCHOR_MAIL_TO needs AUTOTRADER_MAIL_URL, e.g. smtp+tls://user:pw@host:587."
            )
        return {}
    scheme = address.partition(":")[0]
    if scheme not in ("smtp", "smtp+tls", "smtp+ssl"):
        raise ConfigInvalid("AUTOTRADER_MAIL_URL must begin with smtp://, smtp+tls:// or smtp+ssl://.")
    config: dict[str, Any] = environ.Env.email_url_config(address)
    return {name: value for name, value in config.items() if name != "OPTIONS"}
