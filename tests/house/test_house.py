"""What every module owes the house: a purpose, light imports, documented settings, and a current map."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.apps import apps
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from autotrader.core.ops import architecture
from tests.house import safety_page
from tests.support import ROOT

OURS = ("autotrader", "trading", "research", "broker")
SETTINGS = ("autotrader.settings", *(f"autotrader.settings.{name}" for name in ("access", "desk", "mail", "logs")))
VARIABLE = re.compile(r"^# ([A-Z][A-Z0-9_]+)=.*?\s+read by (\S+)$", re.MULTILINE)


def sources() -> Iterator[Path]:
    for package in (*OURS, "tests"):
        yield from (path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


def test_every_module_says_its_purpose() -> None:
    files = (path for path in sources() if path.read_text().strip())
    silent = [str(path.relative_to(ROOT)) for path in files if not architecture.purpose(path)]
    assert silent == []


@pytest.mark.parametrize("module", ["broker.types", "broker.paper_gateway", "research.indicators"])
def test_a_light_module_loads_no_django(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(m for m in sys.modules if m.split('.')[0] == 'django'))"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=55, check=False
    )
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


def read_variables(module: str) -> set[str]:
    """The names of the environment variables that a settings module asks for."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    names = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        reader = ast.unparse(node.func)
        if reader.startswith(("env.", "os.environ.")):
            names.add(str(node.args[0].value))
            if reader in ("env.secret", "env.web_address"):
                names.add(f"{node.args[0].value}_FILE")
    return names


def test_every_variable_stands_in_the_example_with_its_reader() -> None:
    listed = {(name, reader) for name, reader in VARIABLE.findall((ROOT / ".env.example").read_text())}
    read = {(name, module) for module in SETTINGS for name in read_variables(module)}
    assert len(read) > 30
    assert sorted(read - listed) == [], "missing in .env.example"
    assert sorted(listed - read) == [], "in .env.example, but not read there"


def test_only_the_settings_read_our_variables() -> None:
    """Beside them only the crash points and the pace, which work before settings are loaded and are for tests alone."""
    pattern = re.compile(r"os\.(environ|getenv)[^\n]*(AUTOTRADER_(?!PROCESS_ROLE)|OPENAI_|TRADING_MODE|ORDERS_ENABLED)")
    readers = [
        path.stem for package in OURS for path in (ROOT / package).rglob("*.py") if pattern.search(path.read_text())
    ]
    assert sorted(readers) == ["crashpoints", "pace"]


def test_the_migrations_are_complete() -> None:
    loader = MigrationLoader(None)
    detector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
    ours = {config.label for config in apps.get_app_configs() if config.name.startswith(OURS)}
    changes = {app: migrations for app, migrations in detector.changes(graph=loader.graph).items() if app in ours}
    assert changes == {}, "run manage.py makemigrations"


def test_the_map_of_the_modules_is_current() -> None:
    page = architecture.PAGE.read_text()
    assert page == architecture.rendered(page), "run make docs"


def test_the_page_on_safety_lists_every_control_as_it_is() -> None:
    page = safety_page.PAGE.read_text()
    assert page == safety_page.rendered(page), "run python -m tests.house.safety_page"


def test_the_pinned_requirements_carry_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-ib-async.txt"):
        text = (ROOT / name).read_text()
        pins = re.findall(r"^([a-z0-9][\w.\[\]-]*)==", text, re.MULTILINE)
        assert len(pins) > 20
        assert len(re.findall(r"^[a-z0-9][^\n]*==[^\n]*\\\n\s+--hash=sha256:", text, re.MULTILINE)) == len(pins)
