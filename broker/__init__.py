"""Interactive Brokers behind one port; knows nothing of trading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.front import get_broker as get_broker

__all__ = ["get_broker"]


def __getattr__(name: str) -> Any:
    # Late, so that importing broker.types loads no Django.
    if name == "get_broker":
        from broker.front import get_broker

        return get_broker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
