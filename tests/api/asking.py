"""A person or a program that asks the API in JSON, each unsafe request under a key of its own."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from tests.core.keys import bearer, key_of, person

__all__ = ["Asker", "code_of", "program", "someone"]


class Asker:
    """Sends JSON; `headers` carry an API key where it is a program."""

    def __init__(self, client: Client, headers: dict[str, str], prefix: str = "") -> None:
        self.client, self.headers, self.prefix = client, headers, prefix
        self.count = 0

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/{path}", headers={**self.headers, **headers})

    def send(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Any:
        self.count += 1
        told = {"Idempotency-Key": f"{self.prefix}k{self.count}" if key is None else key, **headers}
        send = getattr(self.client, method)
        return send(
            f"/api/{path}",
            json.dumps({} if body is None else body),
            content_type="application/json",
            headers={name: value for name, value in {**self.headers, **told}.items() if value},
        )

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self.send("post", path, body, **options)


def someone(name: str, *permissions: str) -> Asker:
    """A person in a session."""
    client = Client()
    client.force_login(person(name, *permissions))
    return Asker(client, {})


def program(owner: str, *permissions: str, scopes: tuple[str, ...], **limits: Any) -> Asker:
    """A program with a key of a person with these permissions."""
    key, text = key_of(person(owner, *permissions), *scopes, **limits)
    return Asker(Client(), bearer(text), key.prefix)


def code_of(answer: Any) -> tuple[int, str]:
    """The status and the error's code, "" for none."""
    said = answer.json()
    return answer.status_code, said["error"]["code"] if "error" in said else ""
