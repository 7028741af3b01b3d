"""What no sound request holds is refused at the door: huge, deep, odd, doubled, mistyped; never with a 500."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from autotrader.core.rest.errors import Malformed
from autotrader.core.rest.parsers import DEEPEST, LARGEST_BODY, LONGEST_NUMBER, is_sound, parse_object
from autotrader.core.users.models import User

HALT = "/api/halt"


@pytest.fixture
def client(db: None) -> Client:
    """A person who may do everything."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


def told(answer: Any) -> tuple[int, str]:
    """Status and code; the envelope is complete."""
    error = answer.json()["error"]
    assert answer.json()["detail"] == error["message"]
    assert error["correlation_id"] == answer["X-Correlation-Id"]
    return answer.status_code, error["code"]


def send(client: Client, body: bytes | str, content_type: str = "application/json", **headers: str) -> Any:
    return client.post(HALT, body, content_type=content_type, headers={"Idempotency-Key": "k", **headers})


@pytest.mark.parametrize(
    "raw",
    [
        b'{"reason": "a\\u0000b"}', b'{"reason": "\\ud800"}', b'{"\\udfff": 1}', b'{"reason": ["\\u0000"]}',
        b'{"reason": NaN}', b'{"reason": -Infinity}', b'{"reason": 1, "reason": 2}', b'{"reason": "\x00"}',
        b"\xef\xbb\xbf{}", b'{"reason": "\xff"}', b"[" * 5000, b'{"a":' * 5000,
        b'{"a": 1e' + b"9" * 30 + b"}", b'{"a": 1e-20000}', b'{"a": ' + b"9" * (LONGEST_NUMBER + 1) + b"}",
        b'{"a": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}",
    ],
)  # fmt: skip
def test_a_body_that_is_no_sound_object_is_malformed(client: Client, raw: bytes) -> None:
    assert told(send(client, raw)) == (400, "MALFORMED")


@pytest.mark.parametrize("raw", [b"[" * 5000, b'{"a":' * 5000, b'{"a": ' + b"[" * DEEPEST + b"]" * DEEPEST + b"}"])
def test_who_nests_too_deep_is_told_how_deep_is_taken(raw: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        parse_object(raw)
    assert refused.value.message == f"The body is not JSON: it is deeper than {DEEPEST} levels"


def test_the_deepest_and_the_longest_that_are_taken() -> None:
    depth = DEEPEST - 1
    assert parse_object(b'{"a": ' + b"[" * depth + b"]" * depth + b"}")
    assert parse_object(b'{"a": ' + b"9" * LONGEST_NUMBER + b"}")["a"].adjusted() == LONGEST_NUMBER - 1
    with pytest.raises(Malformed):
        parse_object(b'{"a": 1e' + str(LONGEST_NUMBER + 1).encode() + b"}")


def test_every_text_that_a_database_keeps_is_taken() -> None:
    assert is_sound("café \u202e \U0001f600 \x7f")
    assert not is_sound("a\x00")
    assert not is_sound("\ud83d")
    assert parse_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_a_body_that_is_too_long_is_not_read_to_its_end(client: Client) -> None:
    assert told(send(client, b'{"reason": "' + b"x" * LARGEST_BODY + b'"}')) == (413, "BODY_TOO_LARGE")
    assert told(send(client, b" " * 4_000_000)) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json",
     "application/json; charset=utf-16", "application/json;charset=latin-1"],
)  # fmt: skip
def test_another_kind_of_body_is_refused(client: Client, content_type: str) -> None:
    assert told(send(client, '{"reason": "x"}', content_type)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", ["application/json", 'application/json; charset="UTF-8"', "Application/JSON"])
def test_json_in_utf_8_is_taken(client: Client, content_type: str) -> None:
    assert told(send(client, '{"reason": "x", "state": "NEVER"}', content_type)) == (422, "INVALID")


def test_a_body_in_chunks_is_not_taken_for_none(client: Client) -> None:
    answer = client.generic("POST", HALT, b"", "application/json", HTTP_TRANSFER_ENCODING="chunked")
    assert told(answer) == (411, "LENGTH_REQUIRED")


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*;q=0", "nonsense", "application/json;v=9"])
def test_the_answer_is_json_whatever_is_asked_for(client: Client, accept: str) -> None:
    answer = client.get(HALT, headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("number", ["9223372036854775808", "9" * 30, "9" * 5000, "0" * 40 + "1"])
def test_a_number_that_no_row_has_is_not_found(client: Client, number: str) -> None:
    assert told(client.get(f"/api/approvals/{number}")) in {(404, "NOT_FOUND"), (404, "APPROVAL_UNKNOWN")}


@pytest.mark.parametrize("odd", ["%00", "a%00b", "%ff", "%c0%80", "%ed%a0%80", "%2e%2e%2f", "a" * 4000, "%F0%9F%98%80"])
def test_an_address_of_odd_bytes_is_not_found(client: Client, odd: str) -> None:
    for path in (f"/api/orders/{odd}/status", f"/api/{odd}"):
        status, code = told(client.get(path))
        assert status == 404, code


@pytest.mark.parametrize("query", ["%00=1", "limit=%00", "limit=a%00b", "&".join(f"a{n}=1" for n in range(2000))])
def test_a_query_of_odd_bytes_is_malformed(client: Client, query: str) -> None:
    assert told(client.get(f"{HALT}?{query}"))[0] in {400, 422}


@pytest.mark.parametrize("query", ["%ff=1", "x=%ff", "limit=1&limit=2", "=", "format=xml", "x[]=1"])
def test_a_query_that_is_not_known_is_refused_by_name(client: Client, query: str) -> None:
    assert told(client.get(f"{HALT}?{query}"))[0] == 422


def test_a_host_that_is_not_ours_is_told_in_the_envelope(client: Client) -> None:
    assert told(client.get(HALT, headers={"Host": "evil.example"})) == (400, "MALFORMED")
    assert client.get("/login/", headers={"Host": "evil.example"})["Content-Type"].startswith("text/html")


def test_decimals_are_answered_as_plain_digits() -> None:
    from decimal import Decimal

    from autotrader.core.rest.renderers import ExactJsonRenderer

    written = ExactJsonRenderer().render({"a": Decimal("0E-8"), "b": Decimal("1E+3"), "c": Decimal("12.500")})
    assert json.loads(written) == {"a": "0.00000000", "b": "1000", "c": "12.500"}


def test_the_quick_way_writes_what_the_framework_writes() -> None:
    from rest_framework.renderers import JSONRenderer

    from autotrader.core.rest.renderers import ExactJsonRenderer

    at = datetime(2026, 1, 5, 14, 30, 0, 250_000, tzinfo=UTC)
    told = {
        "at": at, "new_york": at.astimezone(ZoneInfo("America/New_York")), "on": at.date(),
        "text": "ü \u2028 \u2029 </b>",
        "none": None, "yes": True, "number": 1.5, "large": 2**62, "list": [1, {"a": []}], "id": UUID(int=1),
    }  # fmt: skip
    assert ExactJsonRenderer().render(told) == JSONRenderer().render(told)
    beyond = {"huge": 2**70, 3: "key"}
    assert ExactJsonRenderer().render(beyond) == JSONRenderer().render(beyond)
    assert ExactJsonRenderer().render(None) == b""
