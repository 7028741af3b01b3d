"""The REST framework and the OpenAPI document."""

from __future__ import annotations

from typing import Any

REST = "autotrader.core.rest"
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [f"{REST}.authentication.KeyLogin", f"{REST}.authentication.SessionLogin"],
    "DEFAULT_PERMISSION_CLASSES": [f"{REST}.permissions.Named"],
    "DEFAULT_PARSER_CLASSES": [f"{REST}.parsers.ExactJson"],
    "DEFAULT_RENDERER_CLASSES": [f"{REST}.renderers.ExactJsonRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": f"{REST}.renderers.AlwaysFirst",
    "DEFAULT_SCHEMA_CLASS": f"{REST}.schema.EndpointSchema",
    "EXCEPTION_HANDLER": f"{REST}.errors.answer",
    "COMPACT_JSON": True,
    # `?format=` would be a parameter that no endpoint declares.
    "URL_FORMAT_OVERRIDE": None,
}
DESCRIPTION = """
The desk for programs. Everything below `/api/` answers JSON; numbers that must be exact are texts, times are ISO 8601
in UTC, and what is not known is null, never 0.

**Who asks.** A key (`Authorization: Bearer at_…`, made in the admin or by `manage.py create_api_key`) or the session of
the pages. A key never exceeds its owner: the permission and the scope are both needed.

**Errors** have one form everywhere (`Problem`); decide by `error.code`. An operation lists the codes that it adds to
those that every request can meet; a failure inside is 500 `INTERNAL`. What to do about each stands in docs/errors.md.

**Unsafe requests** carry an `Idempotency-Key`: the same key with the same body is answered the same and done once.

**Lists** come newest first, `limit` rows at a time; `next` is the `cursor` of the following page.

**Live or history.** What the broker owns is asked of the broker at that moment, and is 503 with `Retry-After` where it
cannot be; what the desk recorded is history and is there while the broker is down.
"""
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "AutoTrader",
    "DESCRIPTION": DESCRIPTION.strip(),
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "SORT_OPERATION_PARAMETERS": False,
    "PREPROCESSING_HOOKS": [f"{REST}.schema.below_api"],
    "POSTPROCESSING_HOOKS": [f"{REST}.schema.with_raw_routes"],
    # The page's files come from this host.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "docExpansion": "list", "displayRequestDuration": True},
}
