"""Where a request comes from: the peer's address, or what a trusted proxy says of its own peer."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings

Address = IPv4Address | IPv6Address
IPV6_HOUSE = 64  # one customer's line has so many bits to choose its addresses from


def address_of(meta: Mapping[str, Any]) -> str:
    """The caller's address from WSGI-style headers; "" where the transport has none."""
    return caller(str(meta.get("REMOTE_ADDR", "")), str(meta.get("HTTP_X_FORWARDED_FOR", "")))


def caller(peer: str, forwarded: str) -> str:
    """The last address on the way that is no trusted proxy of ours.

    `forwarded` is believed only where `peer` is a trusted proxy, and only as far back as proxies are trusted; what does
    not read as an address ends the way there, so that a forged header cannot choose the answer.
    """
    at = parsed(peer)
    if at is None:
        return ""
    for hop in reversed(forwarded.split(",")):
        if not _is_trusted(at) or (before := parsed(hop)) is None:
            break
        at = before
    return str(at)


def place_of(address: str) -> str:
    """What failures are counted by: the address, of IPv6 the network of its line."""
    found = parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, IPV6_HOUSE), strict=False))
    return str(found) if found else ""


def parsed(text: str) -> Address | None:
    """The address, an IPv4 one also where it is wrapped in IPv6; None for anything else.

    The zone of an IPv6 address names a card of ours, may hold any text, and is left out.
    """
    try:
        found = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_trusted(address: Address) -> bool:
    proxies = settings.AUTOTRADER_TRUSTED_PROXIES
    return any(address in ip_network(proxy) for proxy in proxies)
