"""One gateway a store: an flock beside the file, with the address where that gateway listens."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OTHER_STORE, PaperGatewayError


class StoreHeld(PaperGatewayError):
    """Another gateway runs on the same store; two would book into one ledger."""


class Hold:
    """The lock held; the kernel lets go of it when the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def announce(self, host: str, port: int) -> None:
        """Say where the gateway listens."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{host} {port}".encode(), 0)


def _path(store: Path) -> Path:
    return store.with_name(f"{store.name}.lock")


@contextmanager
def hold(store: Path | None) -> Iterator[Hold | None]:
    """Hold the store for the length of the block; raises StoreHeld naming the other's address. None holds nothing."""
    if store is None:
        yield None
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_path(store), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            address = os.pread(descriptor, 200, 0).decode().replace(" ", ":")
            text = f"a gateway at {address or '(starting)'} runs on {store} already; stop it, or {OTHER_STORE}"
            raise StoreHeld(text) from error
        os.ftruncate(descriptor, 0)
        yield Hold(descriptor)
    finally:
        os.close(descriptor)


def held_address(store: Path) -> tuple[str, int] | None:
    """Where the gateway that holds this store listens; None where none does."""
    try:
        descriptor = os.open(_path(store), os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        host, _, port = os.pread(descriptor, 200, 0).decode().partition(" ")
        return (host, int(port)) if port.isdigit() else None
    finally:
        os.close(descriptor)
    return None
