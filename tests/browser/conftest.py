"""A person at the admin in a real browser, where every fault of a page fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from autotrader.core.users.models import User
from tests.trading_admin.story import Told, tell

PASSWORD = "a-long-enough-password"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The desk of real processes first: tests are taken over by another worker from the end, and a part of these would
    start the processes a second time there."""
    items.sort(key=lambda item: item.path.name != "test_real_desk.py")


@dataclass
class Visitor:
    """A page of the browser, the site's address, and what went wrong so far."""

    page: Any
    base: str
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        """Go there and wait until everything on the page, pictures included, has arrived."""
        self.page.goto(self.base + path, wait_until="load")
        return self.page

    def log_in(self) -> None:
        """As the administrator, through the form."""
        self.open("/admin/login/")
        self.page.fill("[name=username]", "anna")
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("[type=submit]")
        self.page.wait_for_url("**/admin/")

    def watch(self) -> None:
        """Note console errors, script errors, failed answers and requests that leave the site."""
        host = urlsplit(self.base).netloc
        self.page.on("console", lambda said: self._note(said.type == "error", f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("response", lambda got: self._note(got.status >= 400, f"{got.status} {got.url}"))
        self.page.on("request", lambda asked: self._note(_leaves(asked.url, host), f"left the site: {asked.url}"))

    def _note(self, is_fault: bool, text: str) -> None:
        if is_fault:
            self.faults.append(text)


def _leaves(url: str, host: str) -> bool:
    return urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).netloc != host


@pytest.fixture
def visitor(browser: Any, live_server: Any, tmp_path: Path, settings: Any) -> Iterator[Visitor]:
    """An administrator who is not logged in yet, at a window 1440 pixels wide."""
    settings.AUTOTRADER_STATE_DIR = tmp_path
    User.objects.create_superuser("anna", password=PASSWORD)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)
    someone = Visitor(context.new_page(), live_server.url)
    someone.watch()
    yield someone
    context.close()
    assert someone.faults == []


@pytest.fixture
def bought(visitor: Visitor) -> Told:
    """A buy that was ordered and filled, seen by a visitor who is logged in."""
    told = tell("buy")
    visitor.log_in()
    return told
