"""The icons of the admin: which are used, and a font of these alone, since all of them weigh 290 kB.

python -m venv .make/fonts && .make/fonts/bin/pip install fonttools brotli
.venv/bin/python -m tests.web.icons --write
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import unfold
from django.conf import settings

from tests.support import ROOT

UNFOLD = Path(unfold.__file__).parent
NAME = "Material-Symbols-Outlined.woff2"
OURS = ROOT / "autotrader" / "static" / "unfold" / "fonts" / "material-symbols"
LIST = OURS / "icons.txt"
WHOLE = UNFOLD / "static" / "unfold" / "fonts" / "material-symbols" / NAME
PYTHON = ROOT / ".make" / "fonts" / "bin" / "python"
SUBSETTER = Path(__file__).with_name("icon_font.py")
PLACES = [ROOT / name for name in ("templates", "autotrader", "broker", "research", "trading")]
# An icon is written as a word: in an element of the font's class, as an `icon`, or as what a style sheet puts in.
ELEMENT = re.compile(r"material-symbols-outlined.*?</", re.DOTALL)
TEMPLATE_TAG = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
WRITTEN = (
    re.compile(r"""\bicon["']?\s*[=:]\s*["']([a-z0-9_]+)["']"""),
    re.compile(r"""\bcontent:\s*["']([a-z0-9_]{3,})["']"""),
    re.compile(r"""\bcontent-\[["']([a-z0-9_]{3,})["']\]"""),
)
CHOSEN = re.compile(r"""x-text="([^"]*'[a-z0-9_]+'[^"]*)\"""")
WORD = re.compile(r"'([a-z0-9_]+)'")
THEMES = {"dark", "light"}  # compared with, in the same expressions


def used() -> set[str]:
    """The icons that unfold's own pages, ours and the settings may show."""
    found = set(_named(settings.UNFOLD))
    for folder, kinds in ((UNFOLD, ("html", "py", "css")), *((place, ("html", "py", "css")) for place in PLACES)):
        for kind in kinds:
            for path in folder.rglob(f"*.{kind}"):
                found.update(_written(path.read_text()))
    return found


def listed() -> set[str]:
    """The icons that our font has."""
    return set(LIST.read_text().split())


def _named(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (part[key] for key in ("icon", "SITE_SYMBOL") if isinstance(part.get(key), str))
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _named(one)


def _written(text: str) -> Iterator[str]:
    for element in ELEMENT.findall(text):
        inside = TEMPLATE_TAG.sub(" ", element).removesuffix("</").rsplit(">", 1)[-1].split()
        if all(re.fullmatch("[a-z0-9_]+", word) for word in inside):
            yield from inside
    for pattern in WRITTEN:
        yield from pattern.findall(text)
    for expression in CHOSEN.findall(text):
        yield from set(WORD.findall(expression)) - THEMES


def write() -> None:
    """Make the list and the font anew; CalledProcessError where a word is no icon of unfold's font."""
    OURS.mkdir(parents=True, exist_ok=True)
    LIST.write_text("\n".join(sorted(used())) + "\n")
    subprocess.run([PYTHON, SUBSETTER, WHOLE, LIST, OURS / NAME], check=True)
    for name in ("LICENSE", "styles.css"):
        shutil.copyfile(WHOLE.with_name(name), OURS / name)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotrader.settings")
    if sys.argv[1:] == ["--write"]:
        write()
    missing = sorted(used() - listed())
    print(", ".join(missing) or "every icon is in the font")
    sys.exit(bool(missing))
