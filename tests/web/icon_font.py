"""Run by tests.web.icons with a Python that has fonttools and brotli: `icon_font.py <whole font> <list> <new font>`."""

from __future__ import annotations

import sys
from pathlib import Path
from string import ascii_lowercase, digits

from fontTools import subset  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]


def main(whole: str, words: str, new: str) -> None:
    """Keep the icons whose words are listed, and the letters that write them; KeyError for a word that draws none."""
    font = TTFont(whole)
    letters = [font.getBestCmap()[ord(sign)] for sign in f"{ascii_lowercase}{digits}_ "]
    drawn = _drawn(font)
    options = subset.Options(layout_features=["liga", "rlig"], flavor="woff2")
    options.drop_tables += ["FFTM"]
    options.layout_closure = False  # the letters write all the icons, so closing over these would keep every one
    subsetter = subset.Subsetter(options)
    subsetter.populate(glyphs=[*letters, *(drawn[word] for word in Path(words).read_text().split())])
    subsetter.subset(font)
    font.flavor = "woff2"
    font.save(new)


def _drawn(font: TTFont) -> dict[str, str]:
    """The glyph that each word becomes; two words may become the same one."""
    sign = {glyph: chr(code) for code, glyph in font.getBestCmap().items()}
    return {
        "".join(sign[glyph] for glyph in (first, *ligature.Component)): ligature.LigGlyph
        for lookup in font["GSUB"].table.LookupList.Lookup
        for table in lookup.SubTable
        for first, ligatures in getattr(table, "ExtSubTable", table).ligatures.items()
        for ligature in ligatures
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
