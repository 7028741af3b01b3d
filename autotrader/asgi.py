"""The ASGI application that daphne serves."""

from __future__ import annotations

import os
import threading

import django
from channels.routing import ProtocolTypeRouter
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotrader.settings")
os.environ.setdefault("AUTOTRADER_PROCESS_ROLE", "web")

django.setup(set_prefix=False)

# Imported late: they need the apps, which the line above loads.
from autotrader.core.live.app import ROUTE, EventStream  # noqa: E402
from autotrader.core.live.buffers import spare_colours  # noqa: E402
from autotrader.core.live.hall import Hall  # noqa: E402
from autotrader.core.live.socket_app import PageSockets  # noqa: E402
from autotrader.core.ops import beats  # noqa: E402
from autotrader.core.ops.bodies import bound_bodies, drop_headers, spare_lines  # noqa: E402
from autotrader.core.ops.database_away import InFlightGuard  # noqa: E402
from autotrader.core.ops.lanes import Files, Sorted, SyncSite, favour_answers  # noqa: E402
from autotrader.core.ops.utc_times import read_times_quickly  # noqa: E402
from autotrader.core.rest.busy import busy  # noqa: E402
from trading.web.line_kinds import POKES  # noqa: E402
from trading.web.lines import line_of  # noqa: E402
from trading.web.warming import warm_up  # noqa: E402

# Method → permission of what is served here and stands in no URL map, for those who list all routes.
ROUTES = {ROUTE: {"GET": "audit.view_event"}}
# Answered without the broker, so that its silence keeps nobody waiting for them.
OWN_ROWS = ("/api/history/",)
# Asked by machines all the time, and may be held up by a broker's owner that hangs.
LOOKS = ("/api/metrics", "/api/health", "/health")
# A fill should be seen at once, whatever the Desk's panels wait for.
ROWS = ("/panels/orders/", "/panels/trades/")
# No login waits for the broker, and before the kill switch there may be one.
LOGINS = ("/login/", "/admin/login/")
# The kill switch in each of its forms: never refused, whatever waits for the broker.
HALTS = frozenset(
    {"/api/halt", "/api/halt/release", "/halt/", "/admin/trading/order/halt/", "/admin/trading/order/release/"}
)
bound_bodies()
drop_headers()
spare_lines()
spare_colours()
read_times_quickly()
line_of({})  # loads the map of addresses, which would hold up every client if the first event did
_site = SyncSite()
_lanes = Sorted(_site, busy, OWN_ROWS, LOOKS, ROWS, LOGINS, sure=HALTS)
_files = Files(_site, busy, settings.STATIC_URL, InFlightGuard(_lanes, plain=_site))
_hall = Hall()
application = ProtocolTypeRouter(
    {
        "http": EventStream(_files, hall=_hall),
        "websocket": PageSockets(line_of, _hall, sorted({word for words in POKES.values() for word in words})),
    }
)
if os.environ["AUTOTRADER_PROCESS_ROLE"] == "web":
    beats.start("web")
    threading.Thread(target=warm_up, name="warming", daemon=True).start()
    favour_answers()
