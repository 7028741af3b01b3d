"""What each page weighs in a browser that has never been here: bytes on the wire, and requests, none to other hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.browser.screens import _addresses
from tests.load.browser import chromium, person
from tests.load.frame import Figure
from tests.load.house import House, cookies
from tests.load.running import desk

MOST_KB = 300
# What the admin's page of a record is weighed of: those that tell much.
FORMS = ("trading/decision", "trading/strategy", "trading/order", "trading/approval", "audit/event")
SETTLED_MS = 2000  # the charts, and the panels that renew themselves at once


@dataclass
class Load:
    """What one page brought."""

    bytes: int = 0
    requests: int = 0
    leaving: list[str] = field(default_factory=list)
    uncompressed: int = 0


def weights(house: House) -> list[Figure]:
    """Every page of a desk that has run a cycle and traded, and the admin's first page, lists and pages of records."""
    with desk(house) as running:
        running.house.run("manage.py", "run_cycle")
        running.house.run("-m", "tests.load.trader", "1", "propose")
        cookie = cookies(1)[0]
        with chromium() as browser:
            base = f"http://127.0.0.1:{running.web.port}"
            page = person(browser, running.web.port, cookie).new_page()
            addresses = {"login": f"{base}/login/", **_addresses(page, base)}
            page.goto(f"{base}/approvals/")
            addresses["approval"] = base + page.locator("td a[href^='/approvals/']").first.get_attribute("href")
            addresses |= _forms(page, base)
            loads = {name: _loaded(browser, running.web.port, cookie, at) for name, at in addresses.items()}
    return _figures(loads)


def _forms(page: Any, base: str) -> dict[str, str]:
    """The admin's page of the newest record of each kind. Raises where that of the decision shows no chart."""
    found = {}
    for kind in FORMS:
        page.goto(f"{base}/admin/{kind}/")
        record = page.locator(f"a[href*='/admin/{kind}/'][href*='/change/']").first.get_attribute("href")
        found[f"admin-{kind.partition('/')[2]}"] = base + record
    page.goto(found["admin-decision"])
    assert page.locator("#charts img").count(), "a decision without charts weighs too little"
    return found


def _loaded(browser: Any, port: int, cookie: str, address: str) -> Load:
    context = person(browser, port, cookie)
    page = context.new_page()
    session = context.new_cdp_session(page)
    load = Load()

    def asked(address: str) -> None:
        load.requests += 1
        url = urlsplit(address)
        if url.scheme not in {"data", "blob"} and url.netloc != f"127.0.0.1:{port}":
            load.leaving.append(address)

    def answered(headers: dict[str, str]) -> None:
        load.uncompressed += not {"content-encoding", "Content-Encoding"} & headers.keys()

    def ended(told: dict[str, Any]) -> None:
        load.bytes += int(told["encodedDataLength"])

    session.on("Network.requestWillBeSent", lambda told: asked(told["request"]["url"]))
    session.on("Network.webSocketCreated", lambda told: asked(told["url"]))
    session.on("Network.responseReceived", lambda told: answered(told["response"]["headers"]))
    session.on("Network.loadingFinished", ended)
    session.send("Network.enable")
    page.goto(address, wait_until="load")
    page.wait_for_timeout(SETTLED_MS)
    context.close()
    return load


def _figures(loads: dict[str, Load]) -> list[Figure]:
    leaving = [url for load in loads.values() for url in load.leaving]
    for url in leaving:
        print(f"  leaves this host: {url}", flush=True)
    return [
        *(
            Figure(f"{name}, {load.requests} requests: bytes on the wire", load.bytes / 1000, "kB", MOST_KB)
            for name, load in loads.items()
        ),
        Figure("  requests to other hosts", len(leaving), "", 0),
        Figure("  answers that were not compressed", sum(load.uncompressed for load in loads.values()), ""),
    ]
