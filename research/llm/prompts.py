"""The prompts: one text file each, known by name, version and hash; and the wrapping of data in messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "prompt_texts"
LONGEST_TEXT = 1_500


@dataclass(frozen=True, slots=True)
class Prompt:
    """Instructions to a model; `sha256` is that of the text."""

    name: str
    version: str
    text: str
    sha256: str


@cache
def prompt(name: str) -> Prompt:
    """The prompt of the file `<name>.txt`, whose first line is `version: …`."""
    head, _, text = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").partition("\n")
    body = text.strip()
    return Prompt(name, head.removeprefix("version:").strip(), body, sha256(body.encode()).hexdigest())


def as_data(values: Mapping[str, Any]) -> str:
    """Values as a delimited block of JSON: no text inside can close the block, none is longer than 1,500 characters."""
    text = json.dumps(_clipped(values), ensure_ascii=False, allow_nan=False, sort_keys=True)
    return "<data>\n" + text.replace("<", "\\u003c").replace(">", "\\u003e") + "\n</data>"


def _clipped(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
    if isinstance(value, Mapping):
        return {str(key)[:100]: _clipped(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_clipped(part) for part in value[:50]]
    return value
