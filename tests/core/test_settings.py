"""The environment: typed, loud, and contradictions refused with one sentence before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import time
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from autotrader import settings as site
from autotrader.core.errors import ConfigInvalid
from autotrader.settings import desk, env
from autotrader.settings.files import secret_file
from tests.support import ROOT

LIVE = {
    "AUTOTRADER_BROKER": "tws",
    "TRADING_MODE": "live",
    "ORDERS_ENABLED": "true",
    "LIVE_TRADING_OVERRIDE_FILE": "/etc/autotrader/live",
    "AUTOTRADER_ALLOWED_ACCOUNTS": "U1234567",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*LIVE, "AUTOTRADER_PAPER_DATA", "PAPER_TRADING_MODE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def set_all(environment: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        environment.setenv(name, value)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({"PAPER_TRADING_MODE": "true"}, "PAPER_TRADING_MODE", id="a switch that is none"),
        pytest.param({"AUTOTRADER_BROKER": "alpaca"}, "AUTOTRADER_BROKER", id="unknown broker"),
        pytest.param({"AUTOTRADER_BROKER": "tws", "AUTOTRADER_PAPER_DATA": "."}, "PAPER_DATA", id="replay on tws"),
        pytest.param({"AUTOTRADER_PAPER_DATA": "/no/such/folder"}, "AUTOTRADER_PAPER_DATA", id="no such folder"),
        pytest.param({"TRADING_MODE": "live"}, "AUTOTRADER_BROKER", id="live on the paper gateway"),
        pytest.param({**LIVE, "ORDERS_ENABLED": "false"}, "ORDERS_ENABLED", id="live without orders"),
        pytest.param({**LIVE, "ORDERS_ENABLED": ""}, "ORDERS_ENABLED", id="orders are off by default on tws"),
        pytest.param({**LIVE, "LIVE_TRADING_OVERRIDE_FILE": ""}, "OVERRIDE_FILE", id="live without its file"),
        pytest.param({**LIVE, "AUTOTRADER_ALLOWED_ACCOUNTS": " , "}, "ALLOWED_ACCOUNTS", id="live for no account"),
        pytest.param({"ORDERS_ENABLED": "maybe"}, "ORDERS_ENABLED", id="not a truth value"),
        pytest.param({"AUTOTRADER_BROKER_PORT": "4002.5"}, "AUTOTRADER_BROKER_PORT", id="not a whole number"),
        pytest.param({"AUTOTRADER_BROKER_PORT": "70000"}, "AUTOTRADER_BROKER_PORT", id="no port"),
        pytest.param({"AUTOTRADER_AI_BUDGET_USD_PER_DAY": "NaN"}, "BUDGET", id="a budget that is no number"),
        pytest.param({"AUTOTRADER_AI_BUDGET_USD_PER_DAY": "-1"}, "BUDGET", id="a negative budget"),
        pytest.param({"AUTOTRADER_AI_PRICES_USD_PER_MILLION": "2.5"}, "PRICES", id="one price of two"),
        pytest.param({"AUTOTRADER_AI_PRICES_USD_PER_MILLION": "2.5,x"}, "PRICES", id="a price that is no number"),
        pytest.param({"OPENAI_MODEL": "some-model"}, "OPENAI_API_BASE", id="a model nowhere"),
        pytest.param({"OPENAI_API_KEY": "a", "OPENAI_API_KEY_FILE": "/tmp/b"}, "OPENAI_API_KEY", id="a secret twice"),
        pytest.param({"OPENAI_API_KEY_FILE": "/no/such/file"}, "OPENAI_API_KEY_FILE", id="a secret unread"),
        pytest.param({"AUTOTRADER_BROKER_RESTART_AT": "23:45"}, "RESTART_AT", id="a time without a zone"),
        pytest.param({"AUTOTRADER_BROKER_RESTART_AT": "23:45 Mars"}, "RESTART_AT", id="a zone that is none"),
        pytest.param({"AUTOTRADER_BROKER_LOGIN_AT": "01:00 US/Eastern"}, "LOGIN_AT", id="a week without a day"),
        pytest.param({"AUTOTRADER_IN_FLIGHT": "0"}, "AUTOTRADER_IN_FLIGHT", id="out of range"),
    ],
)
def test_a_contradiction_is_one_sentence_that_names_it(
    environment: pytest.MonkeyPatch, values: dict[str, str], named: str
) -> None:
    set_all(environment, values)
    with pytest.raises(ConfigInvalid) as caught:
        desk.read()
    assert named in caught.value.message
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message


def test_the_defaults_are_the_embedded_paper_gateway(environment: pytest.MonkeyPatch) -> None:
    settings = desk.read()
    assert (settings.broker, settings.broker_port, settings.trading_mode) == ("paper", 4102, "paper")
    assert settings.orders_enabled
    assert not settings.broker_port_is_set
    assert settings.model_budget_per_day == Decimal(5)


def test_a_real_broker_starts_with_orders_off(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, {"AUTOTRADER_BROKER": "TWS", "AUTOTRADER_BROKER_PORT": " 7497 "})
    settings = desk.read()
    assert (settings.broker, settings.broker_port, settings.broker_port_is_set) == ("tws", 7497, True)
    assert not settings.orders_enabled


def test_a_complete_live_configuration_is_accepted(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, LIVE)
    settings = desk.read()
    assert settings.trading_mode == "live"
    assert settings.allowed_accounts == ("U1234567",)


def test_a_secret_may_come_from_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file\n")
    environment.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    assert desk.read().model_api_key == "from-the-file"


def test_dotenv_fills_in_but_never_overrides(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# a comment\n\nTRADING_MODE=live\nAUTOTRADER_BROKER_HOST='10.0.0.7'\n")
    environment.setenv("TRADING_MODE", "paper")
    environment.setenv("AUTOTRADER_BROKER_HOST", "removed below")
    environment.delenv("AUTOTRADER_BROKER_HOST")
    env.load_dotenv(path, required=False)
    assert (env.text("TRADING_MODE"), env.text("AUTOTRADER_BROKER_HOST")) == ("paper", "10.0.0.7")
    path.write_text("just words\n")
    with pytest.raises(ConfigInvalid, match="line 1"):
        env.load_dotenv(path, required=False)


def test_a_generated_secret_stays_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "django.secret"
    first = secret_file(path)
    assert (secret_file(path), path.stat().st_mode & 0o777) == (first, 0o600)
    assert len(first) >= 50
    path.chmod(0o644)
    assert (secret_file(path), path.stat().st_mode & 0o777) == (first, 0o600)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        pytest.param({"TRADING_MODE": "live"}, "TRADING_MODE", id="desk"),
        pytest.param({"AUTOTRADER_DATABASE_URL": "mysql://x"}, "AUTOTRADER_DATABASE_URL", id="database"),
    ],
)
def test_a_command_ends_with_exit_code_2(tmp_path: Path, values: dict[str, str], named: str) -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "AUTOTRADER_STATE_DIR": str(tmp_path), **values},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert named in result.stderr


def test_a_link_to_postgresql_that_is_dead_ends_and_the_address_may_say_when() -> None:
    options = site._database("postgresql://u:p@db/x?tcp_user_timeout=30000")["OPTIONS"]
    assert int(options["tcp_user_timeout"]) == 30_000
    rest = {name: value for name, value in site.POSTGRES_LINK.items() if name != "tcp_user_timeout"}
    assert rest.items() <= options.items()
    assert rest["keepalives_idle"] + rest["keepalives_interval"] * rest["keepalives_count"] < 15


def test_a_misspelt_name_is_refused_with_the_near_one(environment: pytest.MonkeyPatch) -> None:
    desk.read()
    environment.setenv("AUTOTRADER_BROKERR", "paper")
    with pytest.raises(ConfigInvalid, match=r"AUTOTRADER_BROKERR is not a setting; did you mean AUTOTRADER_BROKER\?"):
        env.refuse_unknown()


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    env.load_dotenv(tmp_path / "none", required=False)
    with pytest.raises(ConfigInvalid, match="does not exist"):
        env.load_dotenv(tmp_path / "none", required=True)
    (tmp_path / "bad").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigInvalid, match="cannot be read as text"):
        env.load_dotenv(tmp_path / "bad", required=True)


def test_a_real_gateway_restarts_each_night_and_the_paper_gateway_never(environment: pytest.MonkeyPatch) -> None:
    read = desk.read()
    assert (read.broker_restart_at, read.broker_login_at) == (None, None)
    set_all(environment, {"AUTOTRADER_BROKER": "tws"})
    read = desk.read()
    assert read.broker_restart_at == time(23, 45, tzinfo=ZoneInfo("US/Eastern"))
    assert read.broker_login_at == (6, time(1, 0, tzinfo=ZoneInfo("US/Eastern")))
    set_all(environment, {"AUTOTRADER_BROKER_RESTART_AT": "none", "AUTOTRADER_BROKER_LOGIN_AT": "monday 06:00 UTC"})
    read = desk.read()
    assert read.broker_restart_at is None
    assert read.broker_login_at == (0, time(6, 0, tzinfo=ZoneInfo("UTC")))
