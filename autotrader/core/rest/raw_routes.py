"""The part of the OpenAPI document about what is served before the framework is asked: the event stream."""

from __future__ import annotations

from autotrader.core.rest import problems
from autotrader.core.rest.documents import Schema

ERROR = {"application/json": {"schema": {"$ref": f"#/components/schemas/{problems.NAME}"}}}
REFUSALS = {
    "400": "Codes: MALFORMED, HOST_UNKNOWN.",
    "401": "Codes: NOT_AUTHENTICATED.",
    "403": "Codes: NOT_ALLOWED, SCOPE_MISSING, KEY_LIMITED.",
    "422": "Codes: INVALID, UNKNOWN_FIELD.",
    "429": "Codes: THROTTLED, TOO_MANY_STREAMS.",
    "500": "Codes: AUDIT_GAP, INTERNAL.",
    "503": "Codes: STORAGE.",
}
FRAMES = 'id: 1204\ndata: {"seq": 1204, "type": "ORDER_FILLED"}\n\n: keep-alive\n\n'
STREAM: Schema = {
    "operationId": "get_events_stream",
    "summary": "The audit log as it grows, as server-sent events",
    "description": (
        "Every event after `after_id` (or the header Last-Event-ID, which wins), in order, none twice; then live. "
        "The answer ends after 512 KiB or 10 minutes, and a client goes on from the last id it saw. docs/events.md "
        "shows each frame.\n\nNeeds the permission `audit.view_event`; a key needs the scope `read` as well."
    ),
    "tags": ["events"],
    "security": [{"key": []}, {"session": []}],
    "parameters": [
        {
            "in": "query",
            "name": "after_id",
            "schema": {"type": "integer", "minimum": 0},
            "description": "The seq after which to begin; from now on where it is missing.",
        },
        {"in": "header", "name": "Last-Event-ID", "schema": {"type": "string", "pattern": r"^[0-9]{1,19}$"}},
    ],
    "responses": {
        "200": {
            "description": "The stream.",
            "content": {"text/event-stream": {"schema": {"type": "string"}, "example": FRAMES}},
        },
        **{status: {"description": said, "content": ERROR} for status, said in REFUSALS.items()},
    },
}
RAW_ROUTES: dict[str, Schema] = {"/api/events/stream": {"get": STREAM}}
