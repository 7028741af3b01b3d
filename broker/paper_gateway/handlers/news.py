"""Requests for news."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import islice

from broker.paper_gateway.desk import NO_DEFINITION, Request
from broker.paper_gateway.reference.news import Story
from broker.paper_gateway.types import ContractFilter, GatewayError
from broker.paper_gateway.wire import news as wire
from broker.paper_gateway.wire.fields import FieldReader
from broker.paper_gateway.wire.times import read_time

NO_ARTICLE, NOT_ALLOWED = 10172, 10276
MAX_HEADLINES = 300
_DASHED = re.compile(r"(\d{4})-(\d{2})-(\d{2}) (\d{2}:\d{2}:\d{2})(?:\.\d+)?")


def news_providers(request: Request, reader: FieldReader) -> None:
    """reqNewsProviders: all sources of this gateway."""
    request.session.send(wire.providers(request.desk.library.news.providers()))


def historical_news(request: Request, reader: FieldReader) -> None:
    """reqHistoricalNews: headlines after `start` up to `end` or now, newest first, then the end.

    Errors: 200 for an unknown contract, 10276 for an unknown source, 10314 for a time that is none.
    """
    con_id, codes = reader.integer(), reader.text()
    start, end = _time(reader.text()), _time(reader.text())
    wanted = max(1, min(reader.integer(), MAX_HEADLINES))
    found = request.exchange.find(ContractFilter(con_id=con_id, include_expired=True))
    if not found:
        raise GatewayError(NO_DEFINITION, "No security definition has been found for the request")
    sources = _sources(request, codes)
    now = request.exchange.now()
    until = now if end is None else min(end, now)
    rows: list[Story] = []
    for story in request.desk.library.news.stories(found[0].symbol, until):
        if (start is not None and story.time <= start) or len(rows) > wanted:
            break
        if story.provider in sources:
            rows.append(story)
    for story in islice(rows, wanted):
        request.session.send(wire.headline(request.id, story))
    request.session.send(wire.headlines_end(request.id, has_more=len(rows) > wanted))


def _sources(request: Request, codes: str) -> set[str]:
    wanted = {code.strip() for code in codes.split("+") if code.strip()}
    unknown = wanted - {provider.code for provider in request.desk.library.news.providers()}
    if unknown or not wanted:
        raise GatewayError(NOT_ALLOWED, f"News feed is not allowed: {', '.join(sorted(unknown))[:80]}")
    return wanted


def _time(text: str) -> datetime | None:
    """`yyyy-mm-dd hh:mm:ss.0` is UTC; all other spellings as everywhere."""
    match = _DASHED.fullmatch(text.strip())
    return read_time(f"{match[1]}{match[2]}{match[3]}-{match[4]}" if match else text, "UTC")


def news_article(request: Request, reader: FieldReader) -> None:
    """reqNewsArticle: error 10172 for an unknown one, and for one of a time still to come."""
    provider, story_id = reader.text(), reader.text()
    story: Story | None = request.desk.library.news.story(provider, story_id)
    if story is None or story.time > request.exchange.now():
        raise GatewayError(NO_ARTICLE, f"Failed to request news article: No data available {story_id[:40]}")
    request.session.send(wire.article(request.id, story))
