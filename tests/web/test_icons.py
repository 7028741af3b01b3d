"""What the admin loads is ours: the reader's own letters, no icon but those that are used, no charts."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from django.contrib.staticfiles import finders

from tests.support import ROOT
from tests.web import icons

STATIC = ROOT / "autotrader" / "static"
MOST_BYTES = 20_000


def test_every_icon_that_may_be_shown_is_in_the_font() -> None:
    used = icons.used()
    assert {"question_mark", "chevron_right", "visibility_off", "dark_mode", "monitoring", "check_small"} <= used
    missing = used - icons.listed()
    assert not missing, f"run python -m tests.web.icons --write: {sorted(missing)}"


def test_ours_are_found_before_the_admins() -> None:
    for name in (
        "inter/styles.css",
        "material-symbols/styles.css",
        f"material-symbols/{icons.NAME}",
        "../js/chart/chart.js",
    ):
        found = finders.find(posixpath.normpath(f"unfold/fonts/{name}"))
        assert isinstance(found, str)
        assert Path(found).is_relative_to(STATIC)


def test_the_font_of_icons_is_small_and_has_its_licence() -> None:
    assert 1_000 < (icons.OURS / icons.NAME).stat().st_size < MOST_BYTES
    assert "Apache License" in (icons.OURS / "LICENSE").read_text()


def test_no_letters_are_sent() -> None:
    assert "url(" not in (STATIC / "unfold" / "fonts" / "inter" / "styles.css").read_text()


def test_no_page_of_ours_has_a_chart_of_the_admins() -> None:
    """What draws them is not sent."""
    pages = [page for place in icons.PLACES for kind in ("html", "py") for page in place.rglob(f"*.{kind}")]
    drawn = [
        page for page in pages if re.search(r"unfold/components/chart|class=\"(?:[^\"]* )?chart[ \"]", page.read_text())
    ]
    assert pages
    assert not drawn
