"""The frame of the suite: environment first, then Django, the network shut, the database restored after each test."""

from __future__ import annotations

from tests import environment

environment.prepare()

import gc  # noqa: E402
import os  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from functools import cache  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import django  # noqa: E402
import hypothesis  # noqa: E402
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
# Whoever waits for a fact says itself, and before, that it has not come; this ends what would never end.
os.environ.setdefault("PYTEST_TIMEOUT", "240")
# How long an example takes tells what else the machine has to do.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

DATABASE_FIXTURES = {"db", "transactional_db"}
# Stages of tests/run.py that read only the files in which the marker's name stands.
OF_NAMED_FILES = ("browser", "crash")
# How long a page waits for a broker's word: on a machine that has much else to do it takes longer than in life.
LONGEST_ANSWER_S = 50.0
# Folders that use no database: not even read where only what uses one counts.
WITHOUT_DATABASE = [Path(__file__).parent / name for name in ("broker_ib", "paper_gateway", "paper_gateway_wire")]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-tests-only", action="store_true", help="only tests that use the database")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.getoption("--database-tests-only") and collection_path in WITHOUT_DATABASE else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs PostgreSQL on SQLite; with --database-tests-only keep only what would differ there."""
    if "postgresql" not in settings.DATABASES["default"]["ENGINE"]:
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason="needs PostgreSQL"))
    for item in items:
        for name in OF_NAMED_FILES:
            if item.get_closest_marker(name) and f"mark.{name}" not in _text(item.path):
                raise pytest.UsageError(f"{item.nodeid}: write mark.{name} in the file, or its stage misses it")
        if _differs(item) and item.path.parent in WITHOUT_DATABASE:
            raise pytest.UsageError(f"{item.nodeid}: {item.path.parent} is not read for PostgreSQL")
    # What says that it may take long comes first, so that no process is left alone with it at the end.
    items.sort(key=_limit, reverse=True)
    if config.getoption("--database-tests-only"):
        kept = [item for item in items if _differs(item)]
        config.hook.pytest_deselected(items=[item for item in items if not _differs(item)])
        items[:] = kept


@cache
def _text(path: Path) -> str:
    return path.read_text()


def _limit(item: pytest.Item) -> float:
    """The seconds that the test asks for; 0 where the usual time is enough."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


def pytest_collection_finish() -> None:
    """Django and some thousand tests stay to the end: the collector need not look through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


# What pages and the API answer does not depend on the database, and tests/house/test_every_page.py asks each address.
# Races do, and how lists are filtered, put in order and cut, what a second row of a key meets, and texts of odd bytes.
SKINS = ("tests.web.", "tests.trading_admin.", "tests.api.")
NOT_ALIKE = ("lists", "history", "performance", "idempotency", "kept_texts", "parsers", "odd_sessions")


def _differs(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    marked = item.get_closest_marker("django_db")
    if item.get_closest_marker("both"):
        return True
    if item.get_closest_marker("once"):
        return False
    module: str = item.module.__name__  # type: ignore[attr-defined]
    if module.startswith(SKINS) and module.removeprefix("tests.api.test_") not in NOT_ALIKE:
        return "transactional_db" in fixtures or (marked is not None and marked.kwargs.get("transaction", False))
    return bool(DATABASE_FIXTURES & fixtures or marked)


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings: None) -> bool:
    """True where another process of this run has migrated a file already: this one begins with its copy."""
    return database.template_laid()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """pytest-django's test database, with its first rows remembered."""
    with django_db_blocker.unblock():
        database.template_keep()
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
def nothing_told() -> None:
    """What the broker told the pages of one test is no news for the next, and a busy machine is no silent broker."""
    from trading.admin import glances
    from trading.web import banner, desk, numbers

    numbers.WAIT_S = glances.WAIT_S = desk.SOON_S = LONGEST_ANSWER_S
    for shared in (numbers.NUMBERS, numbers.HISTORY):
        shared._asked, shared._until = None, float("-inf")
    numbers.PRICES._shared.clear()
    banner.STALLED._until = float("-inf")


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
