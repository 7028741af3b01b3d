"""The one way to a broker: the owner of this process, a new owner, or the owner elsewhere."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from django.conf import settings

from broker.errors import BrokerUnavailable
from broker.paper_gateway.embedded import EmbeddedGateway
from broker.paper_gateway.hold import held_address
from broker.port import Broker
from broker.remote import RemoteBroker
from broker.service import lock
from broker.service.owner import Owner, Place, owner_here, refuse_kept, serve

CONNECT_LIMIT = 5.0
LOOK_EVERY = 0.05
READY_LIMIT = 5.0


@contextmanager
def get_broker(
    *,
    host: str | None = None,
    port: int | None = None,
    client_id: int | None = None,
    state_dir: Path | None = None,
    accounts: Callable[[], Collection[str]] | None = None,
    embedded: bool = False,
    own: bool = True,
) -> Iterator[Broker]:
    """The port, for the length of the block; what is not given is as the settings say.

    The owner of this process if there is one; else the owner that AUTOTRADER_BROKER_URL names; else, where this
    process may own and the lock is free, a new owner; else the owner that holds the lock, over HTTP. Where `manage.py
    up` keeps the owner, nobody else becomes it: who otherwise would waits for it. `accounts`
    answers with the accounts that a new owner's connection may name. `embedded`: where the settings leave the paper
    gateway to us and none runs, it is started for the block. `own`: False never becomes the owner. Raises
    BrokerUnavailable, within 5 s.
    """
    given = {"host": host, "port": port, "client_id": client_id, "state_dir": state_dir, "accounts": accounts}
    chosen = {name: value for name, value in given.items() if value is not None}
    place = Place(**cast("dict[str, Any]", chosen))
    with ExitStack() as stack:
        if embedded and not chosen and _gateway_is_ours():
            place = replace(place, **_embedded_address(stack))
            chosen = {"port": place.port}
        yield _enter(stack, place, by_settings=not chosen, own=own and settings.AUTOTRADER_MAY_OWN_BROKER)


def _gateway_is_ours() -> bool:
    named = settings.AUTOTRADER_BROKER_PORT_IS_SET or settings.AUTOTRADER_BROKER_URL
    free = owner_here() is None and not _is_kept(Place())
    return settings.AUTOTRADER_BROKER == "paper" and not named and free


def _embedded_address(stack: ExitStack) -> dict[str, Any]:
    """Where the embedded gateway listens: the one that runs on our store, else a new one for the length of the stack.

    Where a stranger listens on its usual port, it takes a free one.
    """
    store = settings.AUTOTRADER_STATE_DIR / "paper.sqlite3"
    running = held_address(store)
    if running is not None:
        return {"host": running[0], "port": running[1]}
    host, usual = settings.AUTOTRADER_BROKER_HOST, settings.AUTOTRADER_BROKER_PORT
    folder = Path(settings.AUTOTRADER_PAPER_DATA) if settings.AUTOTRADER_PAPER_DATA else None
    port = 0 if _listening(host, usual) else usual
    gateway = stack.enter_context(EmbeddedGateway(host=host, port=port, data_folder=folder, store_path=store))
    return {"host": host, "port": gateway.port}


def _listening(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _enter(stack: ExitStack, place: Place, *, by_settings: bool, own: bool) -> Broker:
    here = owner_here(place) or (owner_here() if by_settings else None)
    if here is not None:
        return cast("Broker", here.broker)
    if settings.AUTOTRADER_BROKER_URL and by_settings:
        return _remote(stack, settings.AUTOTRADER_BROKER_URL)
    if own:
        try:
            return _connected(stack.enter_context(serve(place)))
        except lock.Kept:
            _await_owner(place)
        except lock.AlreadyOwned as error:
            if error.holder is None and _is_kept(place):
                _await_owner(place)
    return _remote(stack, url_of(place), partial(url_of, place))


def _connected(owner: Owner) -> Broker:
    """A new owner's broker once it is connected and, where nothing hinders it, ready to send."""
    owner.broker.client.wait_connected(CONNECT_LIMIT)
    owner.broker.settle(READY_LIMIT)
    return cast("Broker", owner.broker)


def _is_kept(place: Place) -> bool:
    try:
        refuse_kept(place)
    except lock.Kept:
        return True
    return False


def _await_owner(place: Place) -> None:
    """Wait until the owner that is being started says where it answers, at most the time a connection may take."""
    limit = time.monotonic() + CONNECT_LIMIT
    while time.monotonic() < limit:
        try:
            url_of(place)
        except BrokerUnavailable:
            time.sleep(LOOK_EVERY)
        else:
            return


def url_of(place: Place) -> str:
    """Where the owner of this connection answers now; raises BrokerUnavailable saying why there is none to ask."""
    try:
        holder = lock.read(place.lock_path)
    except lock.AlreadyOwned:
        refuse_kept(place)
        raise
    if holder is None:
        refuse_kept(place)
        raise BrokerUnavailable("No broker process is running; start it with manage.py up or manage.py run_broker.")
    if not holder.url:
        raise lock.AlreadyOwned(place.lock_path, holder)
    return holder.url


def _remote(stack: ExitStack, url: str, find: Callable[[], str] | None = None) -> Broker:
    remote = RemoteBroker(url, settings.AUTOTRADER_BROKER_SECRET, find)
    stack.callback(remote.close)
    return cast("Broker", remote)
