"""docs/errors.md lists every error: each class of the tree, each code that is raised, and what to do about it."""

from __future__ import annotations

import ast

import pytest

from autotrader.core.rest.errors import CODES
from tests.house import errors_page


def test_the_page_is_as_the_sources_have_it() -> None:
    assert errors_page.PAGE.read_text() == errors_page.page(), "run python -m tests.house.errors_page"


def test_every_code_says_what_to_do() -> None:
    listed, said = set(errors_page.codes()), errors_page.sentences()
    assert sorted(listed - set(said)) == [], "add the code and what to do to tests/house/error_codes.toml"
    assert sorted(set(said) - listed) == [], "no source raises these any more"
    assert [code for code, sentence in said.items() if not sentence.endswith(".")] == []


def test_what_the_framework_raises_is_on_the_page() -> None:
    assert {code for _, code in CODES} <= set(errors_page.FRAMEWORK)


def test_every_class_says_in_its_first_line_what_it_means() -> None:
    silent = [kind.__name__ for kind in errors_page.tree() if not (kind.__doc__ or "").strip()]
    assert silent == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('raise Invalid("no", code="SOME_CODE")', [("SOME_CODE", "Invalid")]),
        ('raise errors.Invalid(f"{x}", code="SOME_CODE", details={})', [("SOME_CODE", "Invalid")]),
        ('def _bad(x) -> Invalid: ...\nraise _bad(1, code="SOME_CODE")', [("SOME_CODE", "Invalid")]),
        ('ENDED = {1: ("SOME_CODE", "It has ended.")}\nraise Gone(said, code=code)', [("SOME_CODE", "Gone")]),
        ('raise Invalid("no", code=other)', []),
        ('choices = [("LIMIT", "Limit")]', []),
    ],
)
def test_a_code_is_found_however_it_is_raised(source: str, found: list[tuple[str, str]]) -> None:
    assert list(errors_page.raised(ast.parse(source))) == found
