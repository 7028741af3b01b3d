"""Accessibility in a real Chromium: axe-core on every page, in both themes and on a phone; then the keyboard alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from autotrader.core.users.models import User
from tests.browser.conftest import Visitor
from tests.house import world as house
from tests.house.matrix import of
from tests.house.world import World
from tests.support import eventually
from tests.web.test_desk import position, told
from trading.models import Approval
from trading.web import kit, numbers

# A dozen pages, each looked through three times, are more than a minute on a busy machine.
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

# Where pictures of the pages go when somebody wants to look at them.
PICTURES = os.environ.get("SCREENSHOTS")
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
# Findings of the two upper impacts, one line a place: rule, selector, what to do.
SERIOUS = """options => {
  for (const moving of document.getAnimations()) try { moving.finish(); } catch { moving.cancel(); }
  return axe.run(document, { resultTypes: ["violations"], ...options }).then(found => found.violations
  .filter(rule => ["serious", "critical"].includes(rule.impact))
  .flatMap(rule => rule.nodes.map(node => `${rule.id} | ${node.target.join(" ")} | ${node.failureSummary}`))); }"""
CONTRAST: dict[str, Any] = {"runOnly": ["color-contrast"]}
# What a narrow window changes: the bar below is there, and more tables are moved sideways. The colours are the same.
NARROW: dict[str, Any] = {"runOnly": ["link-name", "button-name", "scrollable-region-focusable", "target-size"]}
# What the admin is used for most: the overview, two long lists, and the forms that decide or stop something.
LISTS = ("audit_event", "trading_order")
FORMS = ("decision", "strategy", "approval")
# Select2, which Django's admin brings for fields with a search, makes its list and text field itself, in no template.
OF_SELECT2 = ("label | .select2-search__field |", "list | ul |")
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
# The window has this width, and two frames later the page has answered to it: what is too wide is marked as movable.
HAS_WIDTH = """width => new Promise(done => {
  const look = () => requestAnimationFrame(innerWidth === width ? () => requestAnimationFrame(done) : look);
  look(); }).then(() => true)"""
# The theme is this one, also by the script that hears of the system's: it does before the second frame.
HAS_THEME = """dark => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))).then(() => {
  document.documentElement.classList.toggle("dark", dark); })"""
# No panel is renewed from now on, and what was asked for has come.
IS_STILL = """() => { if (window.htmx) htmx.trigger = () => {};
  return !document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"); }"""
# What stands out to the right of a window that can be moved there.
WIDER = """() => {
  const { scrollWidth, clientWidth } = document.documentElement;
  const out = one => one.getBoundingClientRect().right > clientWidth + 1 && !one.closest(".desk-scroll");
  return scrollWidth <= clientWidth ? [] : [...document.querySelectorAll("body *")].filter(out)
    .map(one => `${one.tagName} ${one.className} ${scrollWidth}`); }"""
# What Tab should reach, in its order; several may say the same, so each has its number.
NAME = """const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  const there = [...document.querySelectorAll(kinds)]
    .filter(one => one.checkVisibility({ visibilityProperty: true }) && !one.disabled);
  const name = one => `${there.indexOf(one)} ${one.getAttribute("href") || one.textContent.trim() || one.id}`;"""
STOPS = f"() => {{ {NAME} return there.map(name); }}"
STANDS = f"""() => {{ {NAME}
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  return {{ name: name(one), ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight }}; }}"""


class Reader(Visitor):
    """A visitor who asks axe about the page in sight."""

    def come_in(self, path: str) -> None:
        """Open it and make axe ready: by the debugger, since the pages' policy lets no foreign script in."""
        self.open(path)
        self.hold_still()
        self.page.evaluate(AXE)

    def hold_still(self) -> None:
        """Nothing on the page changes by itself any more: what is looked at stays there while it is looked at."""
        eventually(lambda: self.page.evaluate(IS_STILL))

    def resize(self, size: dict[str, int]) -> None:
        """Let the window have this size, and the page know of it."""
        self.page.set_viewport_size(size)
        self.page.evaluate(HAS_WIDTH, size["width"])

    def findings(self, **options: Any) -> list[str]:
        if PICTURES:
            self._picture()
        return [str(line) for line in self.page.evaluate(SERIOUS, options)]

    def themes(self) -> list[str]:
        """All rules as it stands, then the colours of the dark theme."""
        found = self.findings()
        self._light(is_on=False)
        found += [f"dark: {line}" for line in self.findings(**CONTRAST)]
        self._light(is_on=True)
        return found

    def _light(self, *, is_on: bool) -> None:
        """As the system says; the admin asks the system only when it is opened, so it is told as well."""
        self.page.emulate_media(color_scheme="light" if is_on else "dark", reduced_motion="reduce")
        self.page.evaluate(HAS_THEME, not is_on)

    def _picture(self) -> None:
        width = self.page.viewport_size["width"]
        theme = self.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
        name = urlsplit(self.page.url).path.strip("/").replace("/", "-")
        self.page.screenshot(path=str(Path(PICTURES or "") / f"{name}-{width}-{theme}.png"), full_page=True)

    def on_a_phone(self) -> list[str]:
        """What is different at 390 pixels, and whether the page stays inside them."""
        self.resize(PHONE)
        found = [f"phone: wider than the window: {name}" for name in self.page.evaluate(WIDER)]
        found += [f"phone: {line}" for line in self.findings(**NARROW)]
        self.resize(WIDE)
        return found


@pytest.fixture
def reader(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """The administrator, logged in, with a live feed that is silent and a broker that tells of one position."""
    monkeypatch.setattr(numbers, "_ask", lambda: told(position()))
    monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))
    client = Client()
    client.force_login(User.objects.get(username="anna"))
    visitor.page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": visitor.base}]
    )
    visitor.page.route_web_socket("**/live/**", lambda socket: None)
    visitor.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    yield Reader(visitor.page, visitor.base, visitor.faults)
    visitor.page.goto("about:blank")
    monkeypatch.setattr(numbers.NUMBERS, "_until", float("-inf"))


@pytest.fixture
def client(visitor: Visitor) -> Client:
    client = Client()
    client.force_login(User.objects.get(username="anna"))
    return client


def whole_pages(client: Client, world: World | None) -> list[str]:
    """The addresses outside the admin that answer a whole page; without a world those that need no row."""
    asked = [route for route in of("pages") if world or not route.parameters]
    addresses = [route.address(world.values(route)) if world else route.pattern for route in asked]
    return [address for address in addresses if _is_whole(client.get(address))]


def _is_whole(answer: Any) -> bool:
    return answer.status_code == 200 and not answer.streaming and b"<main" in answer.content


@pytest.mark.parametrize("half", [0, 1])
def test_every_page_is_accessible(reader: Reader, client: Client, half: int) -> None:
    """In two halves, one for each worker."""
    found: list[str] = []
    addresses = whole_pages(client, house.build())
    for address in addresses[half::2]:
        reader.come_in(address)
        found += [f"{address} {line}" for line in reader.themes() + reader.on_a_phone()]
    assert not found, "\n".join(found)
    named = {reverse(place.name) for place in kit.PLACES}
    assert named < set(addresses)
    assert len(addresses) >= len(named) + 6


def test_no_empty_page_is_wider_than_a_phone(reader: Reader, client: Client) -> None:
    reader.page.set_viewport_size(PHONE)
    found: list[str] = []
    for address in whole_pages(client, None):
        reader.open(address)
        reader.resize(PHONE)
        reader.hold_still()
        found += [f"{address} {name}" for name in reader.page.evaluate(WIDER)]
    assert not found, "\n".join(found)


def test_the_bar_at_the_thumb_is_accessible(reader: Reader) -> None:
    reader.page.set_viewport_size(PHONE)
    reader.come_in(reverse("desk"))
    reader.resize(PHONE)
    reader.page.get_by_role("button", name="More").click()
    assert reader.themes() == []


def test_a_page_that_is_not_there_is_accessible(reader: Reader) -> None:
    reader.come_in("/there-is-no-such-page/")
    assert reader.themes() + reader.on_a_phone() == []
    assert {fault.partition(" ")[0] for fault in reader.faults} == {"404", "console:"}
    reader.faults.clear()


def test_the_admin_is_accessible(reader: Reader) -> None:
    house.build()
    found: list[str] = []
    addresses = [reverse("admin:index"), *(reverse(f"admin:{name}_changelist") for name in LISTS)]
    for name in FORMS:
        row = apps.get_model("trading", name)._default_manager.earliest("pk")
        addresses.append(reverse(f"admin:trading_{name}_change", args=[row.pk]))
    for address in addresses:
        reader.come_in(address)
        found += [f"{address} {line}" for line in reader.themes() if not line.startswith(OF_SELECT2)]
    assert not found, "\n".join(found)


def test_the_logins_are_accessible(visitor: Visitor) -> None:
    reader = Reader(visitor.page, visitor.base, visitor.faults)
    found: list[str] = []
    for address in (reverse("login"), reverse("admin:login")):
        reader.come_in(address)
        found += [f"{address} {line}" for line in reader.themes() + reader.on_a_phone()]
    assert not found, "\n".join(found)


# The keyboard alone


def stops(page: Any, most: int = 80) -> list[str]:
    """Where Tab leads from the top of the page until it comes round; each stop is seen and has a ring."""
    reached: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stand = page.evaluate(STANDS)
        if stand["name"] in reached or stand["name"].startswith("-1"):
            break
        assert stand["ring"], f"no ring: {stand['name']}"
        assert stand["seen"], f"out of sight: {stand['name']}"
        reached.append(stand["name"])
    return reached


def test_tab_reaches_everything_on_the_desk_in_its_order(reader: Reader) -> None:
    house.build()
    page = reader.open(reverse("desk"))
    page.locator("#banner p").first.wait_for()
    reader.hold_still()
    reached, there = stops(page), page.evaluate(STOPS)
    assert reached[0] == "0 #main"
    assert reached == there
    assert len(there) > len(kit.PLACES)


def test_a_wide_table_on_a_phone_is_moved_by_the_arrows(reader: Reader) -> None:
    house.build()
    reader.page.set_viewport_size(PHONE)
    page = reader.open(reverse("orders"))
    reader.resize(PHONE)
    reader.hold_still()
    box = page.locator(".desk-scroll")
    page.locator(".desk-scroll[data-more-right]").wait_for()
    assert box.get_attribute("aria-label") == "The newest orders"
    box.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    eventually(lambda: box.get_attribute("data-more-left") is not None)


def test_the_order_is_answered_by_keys(reader: Reader) -> None:
    approval = house.build().approval
    page = reader.open(reverse("approval", args=[approval.pk]))
    reader.hold_still()
    page.get_by_role("button", name="Approve…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes, approve it").focus()
    page.keyboard.press("Enter")
    # No broker runs here, and without the market's time nobody approves.
    assert "broker" in page.get_by_role("alert").inner_text()
    reader.hold_still()
    page.locator("#reason").focus()
    page.keyboard.type("the price ran away")
    for _ in range(2):  # past "Approve…"
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.value") == "reject"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes, reject it").focus()
    page.keyboard.press("Enter")
    assert "REJECTED" in page.locator("p.web-success[role=status]").inner_text()
    assert Approval.objects.get(pk=approval.pk).state == "REJECTED"


def test_the_list_of_places_on_a_phone_closes_by_escape(reader: Reader) -> None:
    reader.page.set_viewport_size(PHONE)
    page = reader.open(reverse("desk"))
    reader.resize(PHONE)
    more, places = page.get_by_role("button", name="More"), page.locator("#places")
    assert [link.inner_text() for link in page.locator(".web-hand a").all()] == [
        "Desk",
        "Approvals",
        "Orders",
        "Cycles",
    ]
    assert all(box["height"] >= 44 for box in (one.bounding_box() for one in page.locator(".web-hand > *").all()))
    more.focus()
    page.keyboard.press("Enter")
    assert places.is_visible()
    assert more.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == reverse("desk")
    page.keyboard.press("Escape")
    assert not places.is_visible()
    assert more.evaluate("button => button === document.activeElement")
    more.click()
    page.mouse.click(200, 20)
    assert not places.is_visible()


def test_who_wants_no_motion_gets_none(reader: Reader) -> None:
    page = reader.open(reverse("desk"))
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p class=\"web-line web-new\" id=\"new\">x</p>')")
    lasts = "parseFloat(getComputedStyle(document.getElementById('new'), '::before').animationDuration)"
    assert page.evaluate(lasts) < 0.01
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(lasts) > 1
