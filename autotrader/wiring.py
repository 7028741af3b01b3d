"""The one place where packages are joined: what flows upward is registered here."""

from __future__ import annotations


def connect() -> None:
    """Register the upward flows; called once, when every app is loaded."""
