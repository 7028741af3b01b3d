"""What leaves compressed: pages and our own texts, not the API, a list on its way, a part of a file or a font."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import Client, RequestFactory

from autotrader.core.ops.zipped import ZipMiddleware

STYLES = "/static/unfold/css/styles.css"
FONT = "/static/unfold/fonts/material-symbols/Material-Symbols-Outlined.woff2"
ASKS = {"Accept-Encoding": "gzip, deflate, br"}
LONG = b"<p>position</p>" * 500


def answered(response: HttpResponseBase, path: str = "/desk/", accept: str = "gzip, deflate, br") -> HttpResponseBase:
    def view(request: HttpRequest) -> HttpResponseBase:
        return response

    answer = ZipMiddleware(view)(RequestFactory().get(path, headers={"Accept-Encoding": accept}))
    assert isinstance(answer, HttpResponseBase)
    return answer


def sent_by(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_a_page_is_compressed_and_says_so() -> None:
    answer = answered(HttpResponse(LONG, headers={"ETag": '"a"'}))
    assert isinstance(answer, HttpResponse)
    assert answer["Content-Encoding"] == "gzip"
    assert answer["Vary"] == "Accept-Encoding"
    assert answer["ETag"] == 'W/"a"'
    assert len(answer.content) < len(LONG) / 5
    assert gzip.decompress(answer.content) == LONG


def test_the_size_of_a_page_differs_from_time_to_time() -> None:
    sizes = {answered(HttpResponse(LONG))["Content-Length"] for _ in range(40)}
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("response", "path"),
    [
        (HttpResponse(LONG, content_type="application/json"), "/api/history/"),
        (HttpResponse(LONG, content_type="font/woff2"), "/static/a.woff2"),
        (HttpResponse(LONG, status=206), "/static/a.css"),
        (HttpResponse(b"short"), "/desk/"),
    ],
)
def test_what_stays_as_it_is(response: HttpResponse, path: str) -> None:
    whole = response.content
    answer = answered(response, path)
    assert isinstance(answer, HttpResponse)
    assert "Content-Encoding" not in answer
    assert answer.content == whole


def test_who_takes_no_gzip_is_given_none() -> None:
    assert "Content-Encoding" not in answered(HttpResponse(LONG), accept="identity")


def test_a_list_that_is_written_while_it_is_sent_goes_on_being_so() -> None:
    written: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(3):
            written.append(number)
            yield LONG

    answer = answered(StreamingHttpResponse(parts(), content_type="text/csv; charset=utf-8"))
    assert isinstance(answer, StreamingHttpResponse)
    stream = iter(answer)
    assert next(stream) == LONG
    assert written == [0]
    assert "Content-Encoding" not in answer


def test_a_style_sheet_is_sent_once_and_then_found_unchanged(client: Client) -> None:
    first = client.get(STYLES, headers=ASKS)
    assert first["Content-Encoding"] == "gzip"
    sent = sent_by(first)
    assert b"material-symbols" in gzip.decompress(sent)
    assert first["ETag"].startswith("W/")
    again = client.get(STYLES, headers={**ASKS, "If-None-Match": first["ETag"]})
    assert again.status_code == 304
    assert client.get(STYLES, headers={**ASKS, "If-None-Match": 'W/"other"'}).status_code == 200


def test_a_part_of_a_style_sheet_is_the_bytes_asked_for(client: Client) -> None:
    whole = sent_by(client.get(STYLES))
    part = client.get(STYLES, headers={**ASKS, "Range": "bytes=100-199"})
    assert part.status_code == 206
    assert sent_by(part) == whole[100:200]


def test_head_tells_the_same_of_a_style_sheet_as_get(client: Client) -> None:
    told, got = client.head(STYLES, headers=ASKS), client.get(STYLES, headers=ASKS)
    assert (told.status_code, told["Content-Encoding"], told["ETag"]) == (200, "gzip", got["ETag"])


def test_a_font_is_sent_as_it_is(client: Client) -> None:
    answer = client.get(FONT, headers=ASKS)
    assert answer.status_code == 200
    assert "Content-Encoding" not in answer
