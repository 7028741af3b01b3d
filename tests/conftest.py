"""The frame of the suite: environment first, then Django, the network shut, the database restored after each test."""

from __future__ import annotations

from tests import environment

environment.prepare()

import os  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import django  # noqa: E402
import pytest  # noqa: E402
from django.conf import settings  # noqa: E402
from django.test import TransactionTestCase  # noqa: E402

# A package's conftest that pytest loads first may import models.
django.setup()

from broker.gates import halt_file  # noqa: E402
from tests import database  # noqa: E402

environment.own_state(settings)
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
environment.close_network()

DATABASE_FIXTURES = {"db", "transactional_db"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-tests-only", action="store_true", help="only tests that use the database")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs PostgreSQL on SQLite; with --database-tests-only keep only what would differ there."""
    if "postgresql" not in settings.DATABASES["default"]["ENGINE"]:
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))
    if config.getoption("--database-tests-only"):
        kept = [item for item in items if _differs(item)]
        config.hook.pytest_deselected(items=[item for item in items if not _differs(item)])
        items[:] = kept


def _differs(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    uses = bool(DATABASE_FIXTURES & fixtures) or item.get_closest_marker("django_db") is not None
    return uses and item.get_closest_marker("once") is None


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """pytest-django's test database, with its first rows remembered."""
    with django_db_blocker.unblock():
        database.remember_baseline()


def _restore(case: TransactionTestCase) -> None:
    database.restore_baseline()


TransactionTestCase._fixture_teardown = _restore  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def fresh_callers() -> None:
    """Nobody has asked too often yet: keys and failures are remembered by the process."""
    from autotrader.core.rest import throttling
    from autotrader.core.users.key_ring import RING

    RING.clear()
    throttling.CALLS.clear()
    throttling.FAILURES.clear()


@pytest.fixture(autouse=True)
def no_halt_left() -> Iterator[None]:
    """A halt of one test's desk halts no other: its file outlives the rows."""
    yield
    halt_file(Path(os.environ["AUTOTRADER_STATE_DIR"])).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one the test skips, or fails where AUTOTRADER_REQUIRE_BROWSER is set."""
    if not environment.CHROMIUM.exists():
        message = f"no Chromium at {environment.CHROMIUM}"
        pytest.fail(message) if os.environ.get("AUTOTRADER_REQUIRE_BROWSER") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    # Playwright keeps a loop in this thread, which Django takes for async code.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=str(environment.CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page, 1280×900, of a browser that knows nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()
