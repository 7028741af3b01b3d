"""Pictures of every page of a running desk: `python -m tests.browser.screens URL USER PASSWORD`.

In both widths and both themes. They are written to docs/screens/ with 96 colours each, which keeps one below 100 kB.
"""

from __future__ import annotations

import io
import re
import sys
from typing import Any

from tests.environment import CHROMIUM
from tests.support import ROOT

FOLDER = ROOT / "docs" / "screens"
PLACES = ("desk", "orders", "trades", "portfolio", "performance", "decisions", "cycles", "strategies", "approvals")
# The first link of a list, and the name of the picture it leads to.
BELOW = {
    "orders": "order",
    "decisions": "decision",
    "cycles": "cycle",
    "strategies": "strategy",
    "approvals": "approval",
}
ADMIN = {"admin": "/admin/", "admin-events": "/admin/audit/event/", "admin-orders": "/admin/trading/order/"}
WINDOWS: dict[str, Any] = {"wide": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
TALLEST = 2400  # pixels
COLOURS = 96


def main() -> None:
    """Log in once, then visit everything four times."""
    from playwright.sync_api import sync_playwright

    base, username, password = sys.argv[1:4]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        page.goto(base + "/login/")
        page.fill("[name=username]", username)
        page.fill("[name=password]", password)
        page.click("[type=submit]")
        page.wait_for_url("**/desk/")
        addresses = _addresses(page, base)
        for width, viewport in WINDOWS.items():
            for theme in ("light", "dark"):
                seen = browser.new_context(viewport=viewport, color_scheme=theme, storage_state=context.storage_state())
                _visit(seen.new_page(), addresses, f"{width}-{theme}")
                seen.close()
        browser.close()


def _addresses(page: Any, base: str) -> dict[str, str]:
    found = {name: f"{base}/{name}/" for name in (*PLACES, "gateway", "halt")}
    for place, name in BELOW.items():
        page.goto(found[place])
        links = [link.get_attribute("href") for link in page.locator(f"main a[href^='/{place}/']").all()]
        inner = next((link for link in links if re.fullmatch(rf"/{place}/[^/?]+/", link)), None)
        if inner:
            found[name] = base + inner
    page.goto(found.get("cycle", found["cycles"]))
    steps = page.locator("main a[href^='/executions/']")
    if steps.count():
        found["execution"] = base + str(steps.first.get_attribute("href"))
    return found | {name: base + path for name, path in ADMIN.items()}


def _visit(page: Any, addresses: dict[str, str], kind: str) -> None:
    for name, address in addresses.items():
        page.goto(address, wait_until="load")
        page.wait_for_timeout(1200)  # the charts, and the feed's first word
        shot = page.screenshot(full_page=True, clip=_clip(page))
        _write(shot, f"{name}-{kind}")


def _clip(page: Any) -> dict[str, int]:
    width, height = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    return {"x": 0, "y": 0, "width": width, "height": min(height, TALLEST)}


def _write(shot: bytes, name: str) -> None:
    from PIL import Image

    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
