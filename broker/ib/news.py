"""News: providers, headlines without their metadata, articles. All of it is text that others wrote."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from broker import types
from broker.errors import MarketDataError
from broker.ib import mapping, requests
from broker.ib.connection import RequestError

if TYPE_CHECKING:
    from broker.ib.reads import Asking

MOST_HEADLINES = 300
BINARY = 1
_METADATA = re.compile(r"\{([A-Z]:[^{}]*)\}")  # such as {A:800015:L:en:K:0.97:C:0.99}
_MARKUP = re.compile(r"<(?:html|body|p|br|div|span|pre|table|a|b|i|h[1-6])\b[^<>]*>", re.IGNORECASE)
_BLANKS = re.compile(r"[\x00-\x20\x7f]+")


async def news_providers(asking: Asking, request: types.Nothing) -> tuple[types.NewsProvider, ...]:
    """Sources that the account may read."""
    connection = asking.connection
    try:
        rows = await asking.data.once(connection, "its news providers", connection.reqNewsProvidersAsync)
    except RequestError as error:
        raise requests.refused("its news providers", error) from error
    return tuple(types.NewsProvider(row.code, row.name) for row in rows)


async def headlines(asking: Asking, query: types.HeadlinesQuery) -> tuple[types.Headline, ...]:
    """Headlines of a contract, newest first; none where the account may read no source."""
    if not 1 <= query.limit <= MOST_HEADLINES:
        raise requests.bad_request("limit", f"Ask for 1 to {MOST_HEADLINES} headlines at once.")
    contract, client = asking.contract(query.con_id), asking.connection.client
    providers = query.providers or tuple(one.code for one in await news_providers(asking, types.Nothing()))
    if not providers:
        return ()
    since, until = _stamp(query.since), _stamp(query.until)

    def send(request_id: int) -> None:
        client.reqHistoricalNews(request_id, contract.con_id, "+".join(providers), since, until, query.limit, [])

    try:
        rows = await requests.answer(asking.connection, send)
    except RequestError as error:
        raise requests.refused(f"headlines of {contract.symbol}", error) from error
    found = [_headline(row) for row in rows]
    return tuple(sorted(found, key=lambda headline: headline.time, reverse=True)[: query.limit])


def _stamp(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}.0"


def _headline(row: Any) -> types.Headline:
    text, sentiment = plain_headline(row.headline)
    return types.Headline(
        time=mapping.utc(row.time),
        provider=row.providerCode,
        article_id=row.articleId,
        headline=text,
        sentiment=sentiment,
    )


def plain_headline(text: str) -> tuple[str, Decimal | None]:
    """The headline without metadata, entities and control characters, and the sentiment that the metadata tell."""
    match = _METADATA.match(text)
    sentiment = None
    if match:
        parts = match[1].split(":")
        sentiment = mapping.number(dict(zip(parts[::2], parts[1::2], strict=False)).get("K"))
        text = text[match.end() :].removeprefix("!")
    return _BLANKS.sub(" ", html.unescape(text)).strip(), sentiment


async def article(asking: Asking, query: types.ArticleQuery) -> types.Article:
    """One article. Raises MarketDataError where there is none or the account may not read it."""
    for field in ("provider", "article_id"):
        if not getattr(query, field):
            raise requests.bad_request(field, "An article is named by its provider and its id, as headlines tell them.")
    client = asking.connection.client

    def send(request_id: int) -> None:
        client.reqNewsArticle(request_id, query.provider, query.article_id, [])

    try:
        row = await requests.answer(asking.connection, send)
    except RequestError as error:
        raise requests.refused(f"article {query.article_id} of {query.provider}", error) from error
    if not row.articleText:
        raise MarketDataError(f"article {query.article_id} of {query.provider} is empty")
    return types.Article(query.provider, query.article_id, _kind(row), row.articleText)


def _kind(row: Any) -> Literal["text", "html", "binary"]:
    if row.articleType == BINARY:
        return "binary"
    return "html" if _MARKUP.search(row.articleText) else "text"
