"""The environment of a harness process: nothing of the developer's settings, the time factor, Django set up."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

OURS = ("AUTOTRADER_", "OPENAI_", "Q_CLUSTER_")
NAMES = {"TRADING_MODE", "ORDERS_ENABLED", "PAPER_TRADING_MODE", "LIVE_TRADING_OVERRIDE_FILE", "LOG_LEVEL"}
KEPT = {"AUTOTRADER_DATABASE_URL", "AUTOTRADER_STATE_DIR", "AUTOTRADER_TIME_FACTOR"}
# A lease of 1.5 s, a stop of 6 s: at half of it a busy machine lets leases run out under living workers.
FACTOR = "0.05"


def set_up(factor: str = FACTOR) -> None:
    """Set the environment and load Django; call once, before anything of ours is imported."""
    for name in list(os.environ):
        if (name.startswith(OURS) or name in NAMES) and name not in KEPT:
            del os.environ[name]
    os.environ.setdefault("AUTOTRADER_TIME_FACTOR", factor)
    if "AUTOTRADER_STATE_DIR" not in os.environ:
        folder = os.environ["AUTOTRADER_STATE_DIR"] = tempfile.mkdtemp(prefix="autotrader-crash-state-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ |= {"AUTOTRADER_ENV_FILE": "none", "DJANGO_SETTINGS_MODULE": "autotrader.settings"}
    import django

    django.setup()
