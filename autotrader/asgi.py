"""The ASGI application that daphne serves."""

from __future__ import annotations

import os

import django
from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotrader.settings")
os.environ.setdefault("AUTOTRADER_PROCESS_ROLE", "web")

django.setup(set_prefix=False)

# Imported late: they need the apps, which the line above loads.
from autotrader.core.live.app import ROUTE, EventStream  # noqa: E402
from autotrader.core.ops import beats  # noqa: E402
from autotrader.core.ops.bodies import bound_bodies  # noqa: E402
from autotrader.core.ops.database_away import InFlightGuard  # noqa: E402
from autotrader.core.ops.lanes import Sorted, SyncSite, favour_answers  # noqa: E402
from autotrader.core.ops.utc_times import read_times_quickly  # noqa: E402

# Method → permission of what is served here and stands in no URL map, for those who list all routes.
ROUTES = {ROUTE: {"GET": "audit.view_event"}}
# Answered without the broker, so that its silence keeps nobody waiting for them.
OWN_ROWS = ("/api/history/", "/api/metrics", "/api/health", "/health")
bound_bodies()
read_times_quickly()
_site = SyncSite()
application = ProtocolTypeRouter({"http": EventStream(InFlightGuard(Sorted(_site, OWN_ROWS), plain=_site))})
if os.environ["AUTOTRADER_PROCESS_ROLE"] == "web":
    beats.start("web")
    favour_answers()
