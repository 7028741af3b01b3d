"""A Chromium of our own, and people in it who are logged in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.environment import CHROMIUM


@contextmanager
def chromium() -> Iterator[Any]:
    """Headless; while it is open this thread may not ask the database, since Playwright runs a loop in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def person(browser: Any, port: int, cookie: str) -> Any:
    """A context with an empty cache, logged in by `cookie` ("name=value") at our site."""
    name, _, value = cookie.partition("=")
    # A machine without a graphics card would draw what moves with the processor that the desk needs.
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(30_000)
    context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{port}"}])
    return context
