"""The OpenAPI document: valid, without warnings, complete, and shown from this host alone."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from autotrader.core.rest.documents import object_schema, schema_of
from autotrader.core.rest.examples import example_of
from autotrader.core.rest.pages import document
from autotrader.core.rest.views import Endpoint, UnknownEndpoint
from autotrader.core.users.models import User

METHODS = ("get", "post", "put", "patch", "delete")
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    return document()


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, found in document["paths"].items():
        for method, operation in found.items():
            yield path, method, operation


def endpoints(patterns: Any = None, prefix: str = "/") -> Iterator[tuple[str, type[Endpoint]]]:
    """Every route that an Endpoint answers."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            yield from endpoints(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            view = getattr(pattern.callback, "cls", None)
            if isinstance(view, type) and issubclass(view, Endpoint) and view is not UnknownEndpoint:
                yield prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern)), view


def test_it_is_valid_and_made_without_a_warning() -> None:
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    assert out.getvalue().startswith("openapi: 3.0")


def test_every_method_of_every_endpoint_is_in_it(written: dict[str, Any]) -> None:
    there = {(path.replace("{id}", "{pk}"), method) for path, method, _ in operations(written)}
    missing = [
        f"{method} {path}"
        for path, view in endpoints()
        if path.startswith("/api/")
        for method in METHODS
        if hasattr(view, method) and (path, method) not in there
    ]
    assert missing == []


def test_every_operation_says_what_it_does_who_may_and_what_can_go_wrong(written: dict[str, Any]) -> None:
    lacking = []
    for path, method, operation in operations(written):
        answers = operation["responses"]
        good = [answer for status, answer in answers.items() if status.startswith("2")]
        complete = (
            operation.get("summary")
            and "permission" in operation["description"] + "Open to everybody permission"
            and good
            and {"401", "403", "422", "429", "503"} <= set(answers)
            and operation.get("security")
        )
        if not complete:
            lacking.append(f"{method} {path}")
    assert lacking == []


def test_every_answer_with_a_body_has_a_form_and_an_example(written: dict[str, Any]) -> None:
    lacking = [
        f"{method} {path} {status} {kind}"
        for path, method, operation in operations(written)
        for status, answer in operation["responses"].items()
        for kind, content in answer.get("content", {}).items()
        if kind == "application/json"
        and status.startswith("2")
        and ("examples" not in content or not content["schema"])
    ]
    assert lacking == []


def test_every_unsafe_operation_says_how_it_is_repeated(written: dict[str, Any]) -> None:
    silent = [
        f"{method} {path}"
        for path, method, operation in operations(written)
        if method != "get" and "Idempotency-Key" not in {each["name"] for each in operation.get("parameters", ())}
    ]
    assert silent == ["post /api/halt"], "a halt is never answered from memory"


def test_every_body_has_an_example_and_refuses_unknown_fields(written: dict[str, Any]) -> None:
    for path, method, operation in operations(written):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["examples"], f"{method} {path}"
            name = content["schema"]["$ref"].rpartition("/")[2]
            assert written["components"]["schemas"][name]["additionalProperties"] is False, f"{method} {path}"


def test_a_key_that_opens_nothing_does_not_open_the_page(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("ann", password="x"))
    refused = client.get("/api/docs", headers={"Authorization": "Bearer x"})
    assert (refused.status_code, bool(refused["X-Correlation-Id"])) == (401, True)


def test_the_document_and_its_page_are_for_those_who_are_logged_in(db: None) -> None:
    client = Client()
    assert client.get("/api/schema").status_code == 401
    assert client.get("/api/docs").status_code == 302
    client.force_login(User.objects.create_user("ann", password="x"))
    assert client.get("/api/schema").json()["info"]["title"] == "AutoTrader"
    page = client.get("/api/docs")
    assert page.status_code == 200
    files = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert files
    script = next(file for file in files if file.startswith("/api/docs"))
    assert b"/api/schema" in client.get(script).content
    for file in files:
        assert file.startswith("/"), f"{file} is not of this host"
        if file.startswith("/static/"):
            assert finders.find(file.removeprefix("/static/")), file


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    """A part."""

    at: datetime


@dataclass(frozen=True)
class Outer:
    price: Decimal | None
    colour: Colour
    word: Literal["a", "b"] | None
    parts: tuple[Inner, ...]
    inner: Inner | None
    pair: tuple[int, int]
    by_name: dict[str, Decimal]
    day: date


def test_a_dataclass_becomes_a_form() -> None:
    def refer(kind: type) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{kind.__name__}"}

    schema = object_schema(Outer, refer)
    found = schema["properties"]
    assert schema["required"] == list(found)
    assert found["price"]["nullable"]
    assert re.match(found["price"]["pattern"], "-12.50")
    assert found["colour"]["enum"] == ["red", "blue"]
    assert found["word"] == {"type": "string", "enum": ["a", "b", None], "nullable": True}
    assert found["parts"] == {"type": "array", "items": {"$ref": "#/components/schemas/Inner"}}
    assert found["inner"] == {"allOf": [{"$ref": "#/components/schemas/Inner"}], "nullable": True}
    assert (found["pair"]["minItems"], found["pair"]["maxItems"]) == (2, 2)
    assert found["by_name"]["additionalProperties"]["type"] == "string"
    assert found["day"]["format"] == "date"
    inner = object_schema(Inner, refer)
    assert inner["description"] == "A part."
    example = example_of(schema, {"Inner": inner})
    assert example["parts"] == [{"at": "2026-11-20T15:30:00Z"}]
    assert set(example) == set(found)


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError):
        schema_of(complex, dict)
