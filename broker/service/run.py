"""The owner as a process of its own: HTTP in the main thread until a signal ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.conf import settings

from autotrader.core.errors import ConfigInvalid
from broker.errors import BrokerError
from broker.service.http import OwnerApp
from broker.service.owner import Owner, Place, serve

WATCH = 0.5
# TWS keeps the client id of a killed process for a few seconds.
TAKEN_FOR = 15.0
CLIENT_ID_TAKEN = "(326:"


class ClientIdTaken(BrokerError):
    """Another host holds our client id at the gateway."""

    code = "CLIENT_ID_TAKEN"


def run(say: Callable[[str], object]) -> None:
    """Own the connection and serve it; `say` gets one line when listening and one each time it becomes ready.

    Returns after SIGTERM or SIGINT. Raises AlreadyOwned, Kept, or ClientIdTaken where the gateway says so for 15 s.
    """
    host, port = _address(settings.AUTOTRADER_BROKER_BIND)
    with serve(listens=True) as owner:
        app = OwnerApp(owner.broker, settings.AUTOTRADER_BROKER_SECRET)
        try:
            _listen(owner, app, host, port, say)
        finally:
            app.close()


def _listen(owner: Owner, app: OwnerApp, host: str, port: int, say: Callable[[str], object]) -> None:
    # Late: daphne installs its reactor in the process that imports it.
    from daphne.server import Server
    from twisted.internet import reactor

    def listening() -> None:
        bound_host, bound_port = server.listening_addresses[0]
        url = f"http://{_reachable(bound_host)}:{bound_port}"
        owner.announce(url)
        say(f"broker listening at {url}")

    family = "tcp6" if ":" in host else "tcp"
    endpoint = f"{family}:port={port}:interface={host.replace(':', chr(92) + ':')}"
    server = Server(app, endpoints=[endpoint], ready_callable=listening, server_name="AutoTrader")
    watch = Watch(owner, say, lambda: reactor.callFromThread(server.stop))
    watch.start()
    try:
        server.run()
    finally:
        watch.stop()
    if not server.listening_addresses:
        raise ConfigInvalid(f"AUTOTRADER_BROKER_BIND={host}:{port} cannot be listened on.")
    if watch.taken:
        raise ClientIdTaken(taken(owner.place))


class Watch:
    """Says when the owner becomes ready, and ends the process where its client id belongs to someone else."""

    def __init__(
        self,
        owner: Owner,
        say: Callable[[str], object],
        end: Callable[[], object],
        *,
        taken_for: float = TAKEN_FOR,
    ) -> None:
        self.taken = False
        self._taken_for = taken_for
        self._owner = owner
        self._say = say
        self._end = end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        ready, taken_since = False, None
        while not self._stopping.wait(WATCH if ready else WATCH / 10):
            before, ready = ready, self._owner.broker.settle(0)
            state = self._owner.broker.client.state()
            if ready and not before:
                self._say(f"broker ready account={state.account} clock={state.clock}")
            taken = not state.connected and CLIENT_ID_TAKEN in state.reason
            taken_since = (taken_since or time.monotonic()) if taken else None
            if taken_since is not None and time.monotonic() - taken_since > self._taken_for:
                self.taken = True
                self._end()
                return


def taken(place: Place) -> str:
    """What a person can do where the gateway knows our client id as someone else's; it does not say whose."""
    return (
        f"Another program holds client id {place.client_id} at {place.host}:{place.port} (error 326), as an owner on "
        "another host would. Use that owner by AUTOTRADER_BROKER_URL, or stop it, or choose another "
        "AUTOTRADER_BROKER_CLIENT_ID."
    )


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigInvalid(f"AUTOTRADER_BROKER_BIND={text} is not host:port.")
    return host.strip("[]"), int(port)


def _reachable(host: str) -> str:
    """The address by which a process of this machine reaches a socket bound to `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host
