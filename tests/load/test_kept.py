"""What held is told again for the same code, machine and database, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load import __main__ as load
from tests.load import kept


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FILE", tmp_path / "made" / "load.jsonl")


def test_what_held_is_told_until_something_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept.held("sqlite") == {}
    kept.keep("sqlite", "live", ["  99 %: 14 ms  ok"])
    kept.keep("sqlite", "live", ["  99 %: 12 ms  ok"])
    assert list(kept.held("sqlite")) == ["live"]
    assert kept.held("sqlite")["live"].text().endswith(" UTC\n  99 %: 12 ms  ok"), "the last"
    assert kept.held("postgresql") == {}
    for name in ("code", "machine"):
        with monkeypatch.context() as patch:
            patch.setattr(kept, name, lambda: "another")
            assert kept.held("sqlite") == {}


def test_the_code_is_what_runs_and_what_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "ROOT", tmp_path)
    monkeypatch.setattr(kept, "CODE", ("trading", "requirements.txt"))
    digest = kept.code.__wrapped__
    (tmp_path / "trading" / "__pycache__").mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("django")
    (tmp_path / "trading" / "one.py").write_text("1")
    before = digest()
    (tmp_path / "trading" / "__pycache__" / "one.pyc").write_text("1")
    assert digest() == before
    (tmp_path / "trading" / "one.py").write_text("2")
    changed = digest()
    (tmp_path / "trading" / "test_one.py").write_text("2")
    assert digest() == changed
    with monkeypatch.context() as patch:
        patch.setenv("AUTOTRADER_LOAD_ROUNDS", "3")
        assert digest() != changed, "a shorter run does not stand for the whole"
    (tmp_path / "trading" / "one.py").rename(tmp_path / "trading" / "two.py")
    assert len({before, changed, digest()}) == 3


def test_only_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(load, "_tried", lambda vendor, names, tries: asked.append(list(names)) or [])
    kept.keep("sqlite", "live", ["  99 %: 14 ms  ok"])
    monkeypatch.setattr("sys.argv", ["load", "live", "sockets", "--on", "sqlite"])
    assert load.main() == 0
    assert [names for names in asked if names] == [["sockets"]]
    assert "99 %: 14 ms" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["load", "live", "--on", "sqlite", "--again"])
    asked.clear()
    assert load.main() == 0
    assert [names for names in asked if names] == [["live"]]
    monkeypatch.setattr("sys.argv", ["load", "--on", "sqlite"])
    asked.clear()
    assert load.main() == 0
    assert sorted(["live", *(name for names in asked for name in names)]) == sorted(load.MADE), (
        "what is made only where it is named is left out"
    )
