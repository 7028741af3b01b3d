"""News over the wire: made up, or from a folder, never of a time still to come."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.errors import ReferenceDataError
from tests.paper_gateway_wire.conftest import ACCOUNT, START, Client, advance, connected

AAPL = 265598


def story(number: int, at: datetime, **changes: Any) -> dict[str, Any]:
    return {
        "provider": "BRFG",
        "id": f"BRFG${number}",
        "time": at.isoformat(),
        "symbols": ["AAPL"],
        "headline": f"{{A:800015:L:en}}Story {number} \u20ac",
        "text": f"Text {number}",
        **changes,
    }


def write(folder: Path, *stories: dict[str, Any], name: str = "news.json") -> Path:
    (folder / name).write_text(json.dumps(list(stories)))
    return folder


async def headlines(client: Client, providers: str = "BRFG", start: object = "", end: object = "", limit: int = 300):  # type: ignore[no-untyped-def]
    return await client.ib.reqHistoricalNewsAsync(AAPL, providers, start, end, limit)


async def test_made_up_news_of_every_provider(client: Client) -> None:
    providers = await client.ib.reqNewsProvidersAsync()
    codes = [provider.code for provider in providers]
    assert {"BRFG", "DJ-N"} <= set(codes)
    found = await headlines(client, "+".join(codes), limit=20)
    assert len(found) == 20
    assert all(one.time.replace(tzinfo=UTC) <= START for one in found)
    assert all(one.time >= two.time for one, two in pairwise(found))
    assert all(one.headline.startswith("{A:800015:L:en") for one in found)
    article = await client.ib.reqNewsArticleAsync(found[0].providerCode, found[0].articleId)
    assert article.articleType == 0
    assert "made up" in article.articleText


async def test_the_same_news_for_everybody_and_others_for_others(client: Client) -> None:
    with EmbeddedGateway(set_clock=START, account="DU1", seed=99) as other:
        async with connected(other.port) as second:
            mine, theirs = await headlines(client, limit=5), await headlines(second, limit=5)
    assert mine == theirs
    ibm = await client.ib.reqHistoricalNewsAsync(8314, "BRFG", "", "", 5)
    assert ibm != mine


async def test_range_and_more_to_come(client: Client) -> None:
    month = timedelta(days=30)
    whole = await headlines(client, "BRFG+DJ-N", START - 3 * month, START)
    part = await headlines(client, "BRFG+DJ-N", START - 3 * month, START - month)
    assert part == [one for one in whole if one.time.replace(tzinfo=UTC) <= START - month]
    dashed = await headlines(client, "BRFG+DJ-N", f"{START - 3 * month:%Y-%m-%d %H:%M:%S}.0", "")
    assert dashed == whole


async def test_an_article_of_tomorrow_does_not_exist_yet(tmp_path: Path) -> None:
    later = START + timedelta(hours=5)
    folder = write(tmp_path, story(1, START - timedelta(hours=1)), story(2, later, kind="html", text="<p>Later</p>"))
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, news_folder=folder) as gateway:
        async with connected(gateway.port) as client:
            assert [one.articleId for one in await headlines(client)] == ["BRFG$1"]
            assert await client.ib.reqNewsArticleAsync("BRFG", "BRFG$2") is None or client.errors[-1][1] == 10172
            await advance(gateway, later, client)
            assert [one.articleId for one in await headlines(client)] == ["BRFG$2", "BRFG$1"]
            assert (await client.ib.reqNewsArticleAsync("BRFG", "BRFG$2")).articleText == "<p>Later</p>"


async def test_files_name_their_providers_and_keep_their_text(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        story(1, START - timedelta(hours=1)),
        story(2, START - timedelta(hours=2), provider="OWN", kind="binary", text="UERG"),
    )
    with EmbeddedGateway(set_clock=START, account=ACCOUNT, news_folder=folder) as gateway:
        async with connected(gateway.port) as client:
            providers = await client.ib.reqNewsProvidersAsync()
            assert [provider.code for provider in providers] == ["BRFG", "OWN"]
            (first, second) = await headlines(client, "BRFG+OWN")
            assert first.headline == "{A:800015:L:en}Story 1 \u20ac"
            assert (await headlines(client, "BRFG+OWN", limit=1)) == [first]
            article = await client.ib.reqNewsArticleAsync("OWN", second.articleId)
            assert (article.articleType, article.articleText) == (1, "UERG")


@pytest.mark.parametrize(("providers", "code"), [("NOPE", 10276), ("", 10276)])
async def test_sources_that_are_not_there(client: Client, providers: str, code: int) -> None:
    assert await headlines(client, providers) == []
    assert client.errors[-1][1] == code


async def test_bad_requests(client: Client) -> None:
    assert await client.ib.reqHistoricalNewsAsync(1, "BRFG", "", "", 10) == []
    assert client.errors[-1][1] == 200
    assert await headlines(client, start="yesterday") == []
    assert client.errors[-1][1] == 10314
    await client.ib.reqNewsArticleAsync("BRFG", "BRFG$nothing")
    assert client.errors[-1][1] == 10172


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": "2026-03-02T10:00:00"}, "time zone"),
        ({"time": "noon"}, "time"),
        ({"headline": ""}, "headline"),
        ({"symbols": "AAPL"}, "symbols"),
        ({"kind": "pdf"}, "kind"),
        ({"kind": "binary", "text": "%%%"}, "base64"),
        ({"id": "BRFG$1"}, "another story"),
    ],
)
def test_a_wrong_story_stops_the_start_and_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    folder = write(tmp_path, story(1, START), story(2, START, **changes))
    with pytest.raises(ReferenceDataError, match=words) as error, EmbeddedGateway(set_clock=START, news_folder=folder):
        pass
    assert "story 2" in str(error.value)
    assert error.value.path == folder / "news.json"


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]"])
def test_a_file_that_is_no_list_of_stories(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ReferenceDataError, match=r"bad\.json"), EmbeddedGateway(set_clock=START, news_folder=tmp_path):
        pass


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    with pytest.raises(ReferenceDataError, match="nowhere"), EmbeddedGateway(set_clock=START, news_folder=missing):
        pass
