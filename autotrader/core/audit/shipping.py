"""Sending an anchor off this machine: by mail, by a webhook, or not at all."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.mail import send_mail

if TYPE_CHECKING:
    from autotrader.core.audit.anchors import Anchor

TIMEOUT = 10


def ship(anchor: Anchor) -> list[str]:
    """Send it wherever the settings say; one sentence for each way that failed."""
    ways = ((settings.AUTOTRADER_ANCHOR_MAIL_TO, _mail), (settings.AUTOTRADER_ANCHOR_WEBHOOK_URL, _post))
    problems = []
    for wanted, way in ways:
        if wanted:
            try:
                way(anchor)
            except Exception as error:  # whatever a mail server or a host answers, the anchor stands in the file
                problems.append(f"{way.__name__.strip('_')}: {type(error).__name__}: {error}")
    return problems


def _mail(anchor: Anchor) -> None:
    text = json.dumps(asdict(anchor), indent=1)
    subject = f"AutoTrader audit anchor: row {anchor.seq}"
    send_mail(subject, text, None, list(settings.AUTOTRADER_ANCHOR_MAIL_TO))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow none: the address that a person has written is the only one."""
        return


def _post(anchor: Anchor) -> None:
    body = json.dumps(asdict(anchor)).encode()
    request = urllib.request.Request(settings.AUTOTRADER_ANCHOR_WEBHOOK_URL, body, {"Content-Type": "application/json"})
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
        answer.read(1024)
