"""The ASGI application that daphne serves."""

from __future__ import annotations

import os
import threading

import django
from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotrader.settings")
os.environ.setdefault("AUTOTRADER_PROCESS_ROLE", "web")

django.setup(set_prefix=False)

# Imported late: they need the apps, which the line above loads.
from autotrader.core.live.app import ROUTE, EventStream  # noqa: E402
from autotrader.core.live.hall import Hall  # noqa: E402
from autotrader.core.live.socket_app import PageSockets  # noqa: E402
from autotrader.core.ops import beats  # noqa: E402
from autotrader.core.ops.bodies import bound_bodies  # noqa: E402
from autotrader.core.ops.database_away import InFlightGuard  # noqa: E402
from autotrader.core.ops.lanes import Sorted, SyncSite, favour_answers  # noqa: E402
from autotrader.core.ops.utc_times import read_times_quickly  # noqa: E402
from trading.web.line_kinds import POKES  # noqa: E402
from trading.web.lines import learn_names, line_of  # noqa: E402

# Method → permission of what is served here and stands in no URL map, for those who list all routes.
ROUTES = {ROUTE: {"GET": "audit.view_event"}}
# Answered without the broker, so that its silence keeps nobody waiting for them.
OWN_ROWS = ("/api/history/", "/api/metrics", "/api/health", "/health")
bound_bodies()
read_times_quickly()
line_of({})  # loads the map of addresses, which would hold up every client if the first event did
_site = SyncSite()
_hall = Hall()
application = ProtocolTypeRouter(
    {
        "http": EventStream(InFlightGuard(Sorted(_site, OWN_ROWS), plain=_site), hall=_hall),
        "websocket": PageSockets(line_of, _hall, sorted({word for words in POKES.values() for word in words})),
    }
)
if os.environ["AUTOTRADER_PROCESS_ROLE"] == "web":
    beats.start("web")
    threading.Thread(target=learn_names, name="names", daemon=True).start()
    favour_answers()
