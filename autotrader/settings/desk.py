"""What the desk reads from the environment, with the contradictions it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from pathlib import Path

from autotrader.core.errors import ConfigInvalid
from autotrader.settings import env

PAPER_PORT = 4102
TWS_PORT = 4002
RESTART, LOGIN = "23:45 US/Eastern", "Sunday 01:00 US/Eastern"  # when IBKR's own gateways do it by default


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """The desk's part of the settings, parsed."""

    broker: str
    broker_host: str
    broker_port: int
    broker_port_is_set: bool
    broker_client_id: int
    broker_url: str
    broker_bind: str
    broker_secret: str
    broker_restart_at: time | None
    broker_login_at: tuple[int, time] | None
    paper_data: str
    trading_mode: str
    orders_enabled: bool
    override_file: str
    allowed_accounts: tuple[str, ...]
    model_base_url: str
    model_api_key: str
    model_name: str
    model_budget_per_day: Decimal
    model_budget_per_cycle: Decimal
    model_prices: tuple[Decimal, Decimal] | None
    model_timeout_seconds: int
    cycle_interval_seconds: int
    in_flight: int


def read() -> DeskSettings:
    """Parse and check; raises ConfigInvalid with one sentence."""
    broker = env.choice("AUTOTRADER_BROKER", "paper", ("paper", "tws"))
    settings = DeskSettings(
        broker=broker,
        broker_host=env.text("AUTOTRADER_BROKER_HOST", "127.0.0.1"),
        broker_port=env.integer(
            "AUTOTRADER_BROKER_PORT", PAPER_PORT if broker == "paper" else TWS_PORT, low=1, high=65535
        ),
        broker_port_is_set=bool(env.text("AUTOTRADER_BROKER_PORT")),
        broker_client_id=env.integer("AUTOTRADER_BROKER_CLIENT_ID", 1, low=0, high=999_999),
        broker_url=env.text("AUTOTRADER_BROKER_URL"),
        broker_bind=env.text("AUTOTRADER_BROKER_BIND", "127.0.0.1:0"),
        broker_secret=env.secret("AUTOTRADER_BROKER_SECRET"),
        broker_restart_at=env.daily("AUTOTRADER_BROKER_RESTART_AT", RESTART if broker == "tws" else env.NEVER),
        broker_login_at=env.weekly("AUTOTRADER_BROKER_LOGIN_AT", LOGIN if broker == "tws" else env.NEVER),
        paper_data=env.text("AUTOTRADER_PAPER_DATA"),
        trading_mode=env.choice("TRADING_MODE", "paper", ("paper", "live")),
        orders_enabled=env.boolean("ORDERS_ENABLED", default=broker == "paper"),
        override_file=env.text("LIVE_TRADING_OVERRIDE_FILE"),
        allowed_accounts=env.words("AUTOTRADER_ALLOWED_ACCOUNTS"),
        model_base_url=env.text("OPENAI_API_BASE"),
        model_api_key=env.secret("OPENAI_API_KEY"),
        model_name=env.text("AUTOTRADER_AI_MODEL") or env.text("OPENAI_MODEL"),
        model_budget_per_day=env.decimal("AUTOTRADER_AI_BUDGET_USD_PER_DAY", "5"),
        model_budget_per_cycle=env.decimal("AUTOTRADER_AI_BUDGET_USD_PER_CYCLE", "2"),
        model_prices=env.decimal_pair("AUTOTRADER_AI_PRICES_USD_PER_MILLION"),
        model_timeout_seconds=env.integer("AUTOTRADER_AI_TIMEOUT_SECONDS", 60, low=1, high=140),
        cycle_interval_seconds=env.integer("AUTOTRADER_CYCLE_INTERVAL_SECONDS", 3600, low=10, high=86_400),
        in_flight=env.integer("AUTOTRADER_IN_FLIGHT", 8, low=1, high=64),
    )
    _refuse_contradictions(settings)
    return settings


def _refuse_contradictions(settings: DeskSettings) -> None:
    if env.text("PAPER_TRADING_MODE"):
        raise ConfigInvalid("PAPER_TRADING_MODE is not a setting here; remove it and set TRADING_MODE=paper or live.")
    if settings.broker == "tws" and settings.paper_data:
        raise ConfigInvalid("AUTOTRADER_PAPER_DATA needs AUTOTRADER_BROKER=paper; a real gateway replays nothing.")
    if settings.paper_data and not Path(settings.paper_data).is_dir():
        raise ConfigInvalid(f"AUTOTRADER_PAPER_DATA={settings.paper_data} is not a folder.")
    if settings.model_name and not settings.model_base_url and not settings.model_api_key:
        raise ConfigInvalid("A model is named but neither OPENAI_API_BASE nor OPENAI_API_KEY is set.")
    if settings.trading_mode == "live":
        _refuse_half_live(settings)


def _refuse_half_live(settings: DeskSettings) -> None:
    if settings.broker == "paper":
        raise ConfigInvalid("TRADING_MODE=live contradicts AUTOTRADER_BROKER=paper; a paper gateway is never live.")
    if not settings.orders_enabled:
        raise ConfigInvalid("TRADING_MODE=live contradicts ORDERS_ENABLED=false; set TRADING_MODE=paper to only look.")
    if not settings.override_file:
        raise ConfigInvalid("TRADING_MODE=live needs LIVE_TRADING_OVERRIDE_FILE, the file whose presence allows it.")
    if not settings.allowed_accounts:
        raise ConfigInvalid("TRADING_MODE=live needs AUTOTRADER_ALLOWED_ACCOUNTS, the accounts that may trade.")
