"""A cookie that no login of ours can have made opens nothing, and fails nowhere."""

from __future__ import annotations

import pytest
from django.test import Client

from autotrader.core.users.access import access_of

# A quoted cookie may write any byte by its octal number.
ODD = ('"abcdefgh\\000ijklmnop"', '"\\000"', "x" * 8000, "a b", "é" * 40)


@pytest.mark.parametrize("cookie", ODD)
@pytest.mark.parametrize("path", ["/api/halt", "/admin/", "/login/", "/health"])
def test_an_odd_session_is_nobodys(db: None, cookie: str, path: str) -> None:
    answer = Client().get(path, headers={"cookie": f"sessionid={cookie}"})
    assert answer.status_code == {"/api/halt": 401, "/admin/": 302}.get(path, 200)


def test_the_stream_takes_it_for_nobodys_too(db: None) -> None:
    assert access_of({}, {"sessionid": "abcdefgh\x00ijklmnop"}, "127.0.0.1") is None
