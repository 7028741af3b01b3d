"""docs/errors.md, made from the error tree and from what is raised: `python -m tests.house.errors_page`.

What to do about each code stands in tests/house/error_codes.toml, by hand; a code without a sentence there is named.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tests import environment

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "errors.md"
SENTENCES = ROOT / "tests" / "house" / "error_codes.toml"
OURS = ("autotrader", "trading", "research", "broker")
CODE = re.compile(r"[A-Z][A-Z0-9_]{2,39}")
# What the framework and Django raise by themselves.
FRAMEWORK = {
    "MALFORMED": 400, "NOT_AUTHENTICATED": 401, "NOT_ALLOWED": 403, "NOT_FOUND": 404, "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406, "LENGTH_REQUIRED": 411, "BODY_TOO_LARGE": 413, "UNSUPPORTED_MEDIA_TYPE": 415,
    "INVALID": 422, "THROTTLED": 429, "INTERNAL": 500, "STORAGE": 503,
}  # fmt: skip


@dataclass
class Listed:
    """One code: the statuses it comes with, and the classes that carry it."""

    statuses: set[int] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)


def sources() -> Iterator[Path]:
    """Every module of ours but migrations."""
    for package in OURS:
        yield from sorted(path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


@cache
def tree() -> list[type[Any]]:
    """Every class of the error tree, those of a package together."""
    from autotrader.core.errors import AutoTraderError

    for path in _files_of_errors():
        import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    found: dict[str, type[Any]] = {}
    waiting: list[type[Any]] = [AutoTraderError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith(OURS):
            found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    return [found[name] for name in sorted(found)]


def _files_of_errors() -> set[Path]:
    """The modules that define a class of the tree, by the names of their bases."""
    classes = [
        (node.name, {ast.unparse(base).rpartition(".")[2] for base in node.bases}, path)
        for path in sources()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    names, count = {"AutoTraderError"}, 0
    while len(names) > count:
        count = len(names)
        names |= {name for name, bases, _ in classes if bases & names}
    return {path for name, _, path in classes if name in names}


@cache
def codes() -> dict[str, Listed]:
    """Every code that an answer can carry, but those of the controls' verdicts."""
    found: dict[str, Listed] = {}
    for code, status in FRAMEWORK.items():
        found.setdefault(code, Listed()).statuses.add(status)
    by_name: dict[str, list[type[Any]]] = {}
    for kind in tree():
        entry = found.setdefault(kind.code, Listed())
        entry.statuses.add(kind.status)
        entry.classes.add(kind.__name__)
        by_name.setdefault(kind.__name__, []).append(kind)
    for path in sources():
        text = path.read_text()
        for code, raiser in raised(ast.parse(text)):
            entry = found.setdefault(code, Listed())
            for kind in _named(by_name.get(raiser, []), path, text):
                entry.statuses.add(kind.status)
                entry.classes.add(kind.__name__)
    return dict(sorted(found.items()))


def _named(kinds: list[type[Any]], path: Path, text: str) -> list[type[Any]]:
    """Those that the module defines or imports: two classes may have one name."""
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return [kind for kind in kinds if kind.__module__ in (own, own.removesuffix(".__init__"))] or [
        kind for kind in kinds if kind.__module__ in text
    ]


def raised(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Each `code="…"` that is given to a call, with the class that is made, through a helper of the module too."""
    makes = {
        node.name: ast.unparse(node.returns)
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and node.returns is not None
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield from ((code, _maker(module)) for code in _with_sentence(*node.elts))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg == "code" and isinstance(value, ast.Constant) and CODE.fullmatch(str(value.value)):
                yield str(value.value), makes.get(name, name)


def _maker(module: ast.Module) -> str:
    """The one class of the module that is made with a code out of a table, or ""."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    found = {ast.unparse(call.func) for call in calls for word in call.keywords if _is_from_table(word)}
    return found.pop() if len(found) == 1 else ""


def _is_from_table(keyword: ast.keyword) -> bool:
    return keyword.arg == "code" and isinstance(keyword.value, ast.Name)


def _with_sentence(first: ast.expr, second: ast.expr) -> Iterator[str]:
    """The code of a pair such as `("APPROVAL_USED", "It is used.")`."""
    if isinstance(first, ast.Constant) and isinstance(second, ast.Constant):
        code, sentence = str(first.value), str(second.value)
        if CODE.fullmatch(code) and "_" in code and sentence.endswith(".") and " " in sentence:
            yield code


def verdicts() -> dict[str, tuple[str, str]]:
    """Each code that a control refuses with: the control's number and what it holds."""
    from trading.risk.rules import controls

    found: dict[str, tuple[str, str]] = {}
    # `market` is no rule: what several of them ask about a quote.
    for rule, control in {**controls(), "market": "P2, P3"}.items():
        module = import_module(f"trading.risk.{rule}")
        text = Path(str(module.__file__)).read_text()
        holds = (module.__doc__ or "").partition("\n")[0].partition(": ")[2].rstrip(".")
        for code in re.findall(r'(?:Finding\(|code=|_finding\(|return |^\s+)"([A-Z][A-Z0-9_]{2,39})"', text, re.M):
            found.setdefault(code, (control, holds))
    return dict(sorted(found.items()))


def sentences() -> dict[str, str]:
    """Code → what to do."""
    return tomllib.loads(SENTENCES.read_text())


def page() -> str:
    """The whole page as the sources have it now."""
    said = sentences()
    rows = "".join(_code_row(code, listed, said.get(code, "")) for code, listed in codes().items())
    refusals = "".join(_verdict_row(code, *found) for code, found in verdicts().items())
    classes = "".join(_class_row(kind) for kind in tree())
    return HEAD + CODES_HEAD + rows + VERDICTS_HEAD + refusals + CLASSES_HEAD + classes


def _code_row(code: str, listed: Listed, sentence: str) -> str:
    statuses = ", ".join(map(str, sorted(listed.statuses))) or "–"
    classes = ", ".join(f"`{name}`" for name in sorted(listed.classes)) or "–"
    return f"| `{code}` | {statuses} | {classes} | {sentence} |\n"


def _verdict_row(code: str, control: str, holds: str) -> str:
    from trading.selectors.request_statuses import status_of

    return f"| `{code}` | {status_of(code, 422)} | {control} | {holds} |\n"


def _class_row(kind: type[Any]) -> str:
    said = (kind.__doc__ or "").strip().partition("\n")[0]
    parents = ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if base is not Exception) or "–"
    module = kind.__module__
    return f"| `{kind.__name__}` | {parents} | {kind.status} | `{kind.code}` | {said} | `{module}` |\n"


HEAD = """# Errors

Made by `python -m tests.house.errors_page` from the error tree and from what is raised; change it there.

Every error of the API, of the pages' actions and of the commands is one of these. Over HTTP it has one form:

```json
{
  "detail": "There is no field 'qty'; known are symbol, side, quantity.",
  "error": {
    "code": "UNKNOWN_FIELD",
    "message": "There is no field 'qty'; known are symbol, side, quantity.",
    "details": {"field": "qty", "fields": {"qty": "unknown"}},
    "correlation_id": "5f0c9a1e7b2d4c3f8a6e1d0b9c7f2a45"
  }
}
```

Decide by `code`, never by the sentence. The correlation id finds the request in the logs and in the audit log.

| HTTP | what it means | send it again? |
|---|---|---|
| 400 | it cannot be read | after correcting its form |
| 401 | nobody is logged in, or the key opens nothing | with another key |
| 403 | not allowed, or a gate is shut | no; a person or time must change something |
| 404 | there is no such record or address | no |
| 405, 411, 413, 415 | the method, length or type is wrong | after correcting it |
| 409 | something is in the way, or has changed meanwhile | after looking |
| 422 | understood and refused; `details` names the fields | after correcting it |
| 429 | too many | after `Retry-After` seconds |
| 500 | a defect of ours | report the correlation id; look before repeating an order |
| 502 | the broker answered, but not with what was needed | as the code says |
| 503 | broker or database away; where it may have been done, the message says so | after `Retry-After` s, same key |
"""
CODES_HEAD = "\n## Codes\n\n| code | HTTP | class | what to do |\n|---|---|---|---|\n"
VERDICTS_HEAD = """
## Refusals of the controls

An order that a control refuses carries the control's code; `details.reasons` has what each refusing control says.
What each holds, and its limits, stands in [safety.md](safety.md).

| code | HTTP | control | what it holds |
|---|---|---|---|
"""
CLASSES_HEAD = """
## Classes

For code of ours: the class says what the caller should do.

| class | is a | HTTP | its own code | what it means | where |
|---|---|---|---|---|---|
"""


def main() -> None:
    """Write the page anew, and say which codes have no sentence."""
    environment.prepare()
    import django

    django.setup()
    PAGE.write_text(page())
    missing = sorted(set(codes()) - set(sentences()))
    if missing:
        print(f"add to {SENTENCES.relative_to(ROOT)}: {', '.join(missing)}")


if __name__ == "__main__":
    main()
