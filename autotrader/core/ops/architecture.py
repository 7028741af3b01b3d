"""Writes the tree of docs/architecture.md from the modules' docstrings; `make docs` runs it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("autotrader", "trading", "research", "broker")
SKIPPED = {"migrations", "static", "__pycache__"}
START, END = "<!-- tree: made by `make docs` -->", "<!-- end of tree -->"


def purpose(path: Path) -> str:
    """The first line of the module's docstring; empty where it has none."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def modules(package: Path) -> Iterator[tuple[int, str, str]]:
    """Depth, name and purpose of the package and everything below it, in order of names."""
    for path in (package, *sorted(package.rglob("*"))):
        parts = path.relative_to(package.parent).parts
        if SKIPPED & set(parts) or path.name == "__init__.py":
            continue
        if path.is_dir() and (path / "__init__.py").exists():
            yield len(parts) - 1, f"{path.name}/", purpose(path / "__init__.py")
        elif path.suffix == ".py":
            yield len(parts) - 1, path.name, purpose(path)


def tree(root: Path = ROOT) -> str:
    """The tree as a block of text."""
    lines = []
    for package in PACKAGES:
        for depth, name, text in modules(root / package):
            lines.append(f"{'  ' * depth + name:<38} {text}".rstrip())
    return "\n".join(lines)


def rendered(page: str) -> str:
    """The page with its tree made anew."""
    before, _, rest = page.partition(START)
    after = rest.partition(END)[2]
    return f"{before}{START}\n```\n{tree()}\n```\n{END}{after}"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(rendered(PAGE.read_text()))


if __name__ == "__main__":
    main()
