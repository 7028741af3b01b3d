"""The root of the error tree: a class says what the caller should do, a code says what went wrong."""

from __future__ import annotations

from typing import Any, ClassVar


class AutoTraderError(Exception):
    """An error people and programs may see.

    `code` is stable and machine-readable, `message` is one sentence that names the fix, `details` is JSON-safe.
    """

    code: ClassVar[str] = "ERROR"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, code: str | None = None, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason = code or self.code
        self.details = details or {}


class ConfigInvalid(AutoTraderError):
    """The settings are wrong or contradict each other: correct them and start again."""

    code = "CONFIG_INVALID"


class Conflict(AutoTraderError):
    """The row changed under the caller: read it again and decide anew."""

    code = "CONFLICT"
    status = 409


class AlreadyDone(Conflict):
    """The same change of the same version is on record: do not repeat it."""

    code = "ALREADY_DONE"


class Invalid(AutoTraderError):
    """Input that cannot be accepted; `details` names the fields."""

    code = "INVALID"
    status = 422
