"""Django's settings, all from the environment; every variable stands in .env.example with its reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import environ

from autotrader.core.errors import ConfigInvalid
from autotrader.core.ops import pace
from autotrader.settings import access, desk, env, logs, mail
from autotrader.settings.api import REST_FRAMEWORK as REST_FRAMEWORK
from autotrader.settings.api import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS
from autotrader.settings.files import make_folder, secret_file
from autotrader.settings.unfold import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent.parent
if env.text("AUTOTRADER_ENV_FILE") != "none":
    env.load_dotenv(BASE_DIR / env.text("AUTOTRADER_ENV_FILE", ".env"), required=bool(env.text("AUTOTRADER_ENV_FILE")))

DEBUG = env.boolean("AUTOTRADER_DEBUG", default=False)
AUTOTRADER_STATE_DIR = (BASE_DIR / env.text("AUTOTRADER_STATE_DIR", "var")).resolve()
AUTOTRADER_BIND = env.text("AUTOTRADER_BIND", "127.0.0.1:8000")
make_folder(AUTOTRADER_STATE_DIR)
SECRET_KEY = env.secret("AUTOTRADER_SECRET_KEY") or secret_file(AUTOTRADER_STATE_DIR / "django.secret")
ALLOWED_HOSTS = list(env.words("AUTOTRADER_ALLOWED_HOSTS")) or ["127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = list(env.words("AUTOTRADER_TRUSTED_ORIGINS"))

INSTALLED_APPS = [
    "unfold",
    "autotrader.apps.DeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django_q",
    "autotrader.core.users",
    "autotrader.core.audit",
    "autotrader.core.artifacts",
    "autotrader.core.rest",
    "broker",
    "research",
    "trading",
    "autotrader.apps.SiteConfig",
]
MIDDLEWARE = [
    "autotrader.core.ops.correlation.CorrelationMiddleware",
    "autotrader.core.ops.traffic.TrafficMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "autotrader.core.ops.zipped.ZipMiddleware",  # Django's gzip, with its guard against BREACH, outside of the files
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "autotrader.core.ops.database_away.DatabaseAwayMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "autotrader.core.users.middleware.LoginMiddleware",
]
ROOT_URLCONF = "autotrader.urls"
ASGI_APPLICATION = "autotrader.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            # Here, because a page of one package may show another's records without importing it.
            "libraries": {
                "desk": "autotrader.core.formats",
                "broker_evidence": "broker.admin.tags",
                "model_calls": "research.admin.tags",
            },
        },
    }
]

AUTOTRADER_DATABASE_URL = env.secret("AUTOTRADER_DATABASE_URL")
AUTOTRADER_PG_CONNECT_TIMEOUT_SECONDS = env.integer("AUTOTRADER_PG_CONNECT_TIMEOUT_SECONDS", 3, low=1, high=60)

# A link on which packets are dropped ends within 15 s, not the kernel's 15 minutes; a Unix socket knows none of these.
# No query is ended for taking long: the other side's kernel answers meanwhile. The first is in ms, the others in s.
POSTGRES_LINK = {
    "tcp_user_timeout": 10_000,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


def _database(url: str) -> dict[str, Any]:
    """The one database: SQLite in the state folder, or what AUTOTRADER_DATABASE_URL says."""
    if not url:
        url = f"sqlite:///{AUTOTRADER_STATE_DIR / 'autotrader.sqlite3'}"
    config: dict[str, Any] = environ.Env.db_url_config(url)
    if "sqlite" in config["ENGINE"]:
        config["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA busy_timeout=20000;"
            "PRAGMA recursive_triggers=ON;",
        }
        config["TEST"] = {"NAME": env.text("AUTOTRADER_TEST_SQLITE") or None}
    elif "postgresql" in config["ENGINE"]:
        given = config.get("OPTIONS", {})
        config["OPTIONS"] = {**POSTGRES_LINK, **given, "connect_timeout": AUTOTRADER_PG_CONNECT_TIMEOUT_SECONDS}
        config["CONN_HEALTH_CHECKS"] = True
    else:
        raise ConfigInvalid("AUTOTRADER_DATABASE_URL must start with sqlite:// or postgresql://.")
    # The web process answers on threads that stay, and so may their connections (core/ops/lanes.py).
    config["CONN_MAX_AGE"] = 60 if os.environ.get("AUTOTRADER_PROCESS_ROLE") == "web" else 0
    return config


DATABASES = {"default": _database(AUTOTRADER_DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
vars().update(access.read())
AUTOTRADER_TRUSTED_PROXIES: tuple[str, ...] = access.trusted_proxies()

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "autotrader.settings.formats"
STATIC_URL = "static/"
STATIC_ROOT = AUTOTRADER_STATE_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "autotrader" / "static"]
MEDIA_ROOT = AUTOTRADER_STATE_DIR / "files"
WHITENOISE_USE_FINDERS = True
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE = "autotrader.core.users.sessions"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# What leaves this machine: the audit log's anchors.
AUTOTRADER_ANCHOR_DIR = env.text("AUTOTRADER_ANCHOR_DIR") or str(AUTOTRADER_STATE_DIR / "anchors")
AUTOTRADER_ANCHOR_MAIL_TO = env.words("AUTOTRADER_ANCHOR_MAIL_TO")
AUTOTRADER_ANCHOR_WEBHOOK_URL = env.web_address("AUTOTRADER_ANCHOR_WEBHOOK_URL")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("AUTOTRADER_MAIL_FROM", "autotrader@localhost")
EMAIL_TIMEOUT = 10
vars().update(mail.read(wanted=bool(AUTOTRADER_ANCHOR_MAIL_TO)))

# The desk. Each name is read where .env.example says.
_desk = desk.read()
AUTOTRADER_BROKER = _desk.broker
AUTOTRADER_BROKER_HOST = _desk.broker_host
AUTOTRADER_BROKER_PORT = _desk.broker_port
AUTOTRADER_BROKER_PORT_IS_SET = _desk.broker_port_is_set
AUTOTRADER_BROKER_CLIENT_ID = _desk.broker_client_id
AUTOTRADER_BROKER_URL = _desk.broker_url
AUTOTRADER_BROKER_BIND = _desk.broker_bind
AUTOTRADER_BROKER_SECRET = _desk.broker_secret or secret_file(AUTOTRADER_STATE_DIR / "broker.secret")
AUTOTRADER_BROKER_RESTART_AT = _desk.broker_restart_at
AUTOTRADER_BROKER_LOGIN_AT = _desk.broker_login_at
AUTOTRADER_PAPER_DATA = _desk.paper_data
TRADING_MODE = _desk.trading_mode
ORDERS_ENABLED = _desk.orders_enabled
LIVE_TRADING_OVERRIDE_FILE = _desk.override_file
AUTOTRADER_ALLOWED_ACCOUNTS = _desk.allowed_accounts
OPENAI_API_BASE = _desk.model_base_url
OPENAI_API_KEY = _desk.model_api_key
AUTOTRADER_AI_MODEL = _desk.model_name
AUTOTRADER_AI_BUDGET_USD_PER_DAY = _desk.model_budget_per_day
AUTOTRADER_AI_BUDGET_USD_PER_CYCLE = _desk.model_budget_per_cycle
AUTOTRADER_AI_PRICES_USD_PER_MILLION = _desk.model_prices
AUTOTRADER_AI_TIMEOUT_SECONDS = _desk.model_timeout_seconds
AUTOTRADER_CYCLE_INTERVAL_SECONDS = _desk.cycle_interval_seconds
AUTOTRADER_IN_FLIGHT = _desk.in_flight
# Only run_broker and commands or tests that may become the owner set this; web and worker never do.
AUTOTRADER_MAY_OWN_BROKER = os.environ.get("AUTOTRADER_PROCESS_ROLE", "command") not in {"web", "worker"}
# Who answers requests keeps an eye on the database, so that none of them waits for it.
AUTOTRADER_WATCHES_DATABASE = os.environ.get("AUTOTRADER_PROCESS_ROLE", "command") == "web"

Q_CLUSTER: dict[str, Any] = {
    "name": "work",
    "workers": 2,
    "queue_limit": 2,
    "bulk": 1,
    "timeout": 150,
    "retry": 600,
    "max_attempts": 1,
    "catch_up": False,
    "poll": 0.2,
    "orm": "default",
    "save_limit": 250,
    "label": "Queue",
    "ALT_CLUSTERS": {"now": {"workers": 1, "queue_limit": 1, "bulk": 1, "timeout": 150, "retry": 600, "poll": 0.2}},
}

AUTOTRADER_SLOW_QUERY_MS = env.integer("AUTOTRADER_SLOW_QUERY_MS", 200, low=1, high=60_000)
_secrets = (
    SECRET_KEY,
    AUTOTRADER_BROKER_SECRET,
    OPENAI_API_KEY,
    AUTOTRADER_ANCHOR_WEBHOOK_URL,
    DATABASES["default"].get("PASSWORD") or "",
    vars().get("EMAIL_HOST_PASSWORD") or "",
)
LOGGING = logs.read(AUTOTRADER_STATE_DIR, os.environ.get("AUTOTRADER_PROCESS_ROLE", "command"), _secrets)

if AUTOTRADER_BROKER != "paper" and pace.factor() != 1:
    raise ConfigInvalid("The time factor is for tests against the paper gateway; remove it.")
# Read elsewhere: by the processes' roles and by the tests.
env.refuse_unknown(
    "AUTOTRADER_PROCESS_ROLE", "AUTOTRADER_CRASH", "AUTOTRADER_TIME_FACTOR", "AUTOTRADER_REQUIRE_BROWSER"
)
