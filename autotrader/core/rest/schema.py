"""The OpenAPI document of every endpoint, made from what its class declares.

An endpoint says `body` and `query` (a Body each), `answers` (method → dataclass, serializer or Answer) and `errors`
(classes of the error tree); permissions, keys, Idempotency-Key and the kit's own errors are added here.
"""

from __future__ import annotations

import re
from inspect import isclass
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, get_doc
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest, OpenApiResponse
from rest_framework.serializers import Serializer

from autotrader.core.rest import problems
from autotrader.core.rest.documents import Answer, Schema, object_schema, schema_of
from autotrader.core.rest.examples import example_of
from autotrader.core.rest.parameters import list_parameters
from autotrader.core.rest.problems import UNSAFE, WITH_BODY
from autotrader.core.rest.raw_routes import RAW_ROUTES
from autotrader.core.rest.serializers import Body
from autotrader.core.users.keys import scopes_for

SAID = re.compile(r"(?:^|\s)(GET|POST|PUT|PATCH|DELETE)\b[^:\n]*: ")


class EndpointSchema(AutoSchema):
    """One operation of an Endpoint."""

    def get_operation_id(self) -> str:
        words = [word.replace("-", "_") for word in self._tokenize_path()]
        parameters = re.findall(r"{(\w+)}", self.path)
        return "_".join([self.method.lower(), *words, *(f"by_{name}" for name in parameters)])

    def get_tags(self) -> list[str]:
        return list(self._tokenize_path()[:1])

    def get_summary(self) -> str:
        sentence = re.split(r"[;.](?:\s|$)", self._said(), maxsplit=1)[0].strip().replace("\n", " ")
        return f"{sentence[:1].upper()}{sentence[1:120]}"

    def get_description(self) -> str:  # type: ignore[override]
        said = self._said()
        return "\n\n".join(filter(None, (f"{said[:1].upper()}{said[1:]}", self._access())))

    def _said(self) -> str:
        """What the handler's docstring says, or the class's about this method: `GET: … POST: …`."""
        own = get_doc(getattr(self.view, self.method.lower()))
        if own:
            return str(own)
        parts = SAID.split(str(get_doc(type(self.view))))
        by_method = dict(zip(parts[1::2], parts[2::2], strict=True))
        return by_method.get(self.method, parts[0]).strip()

    def get_auth(self) -> list[Any]:
        return [*super().get_auth(), *([{}] if self._is_open() else [])]

    def _is_open(self) -> bool:
        """Whether it answers without login too."""
        return self.method in getattr(self.view, "open_methods", ())

    def _access(self) -> str:
        if self._is_open():
            return "Answers without login too, and more with one that has the permission."
        name = getattr(self.view, "permissions", {}).get(self.method)
        needs = f"Needs the permission `{name}`" if name else "Open to everybody who is logged in"
        if self.method in getattr(self.view, "people_only", ()):
            return f"{needs}, and a person: keys are refused."
        usual = scopes_for(name or "", is_read=self.method == "GET")
        needed = getattr(self.view, "key_scopes", {}).get(self.method, usual)
        scopes = " or ".join(f"`{scope}`" for scope in sorted(map(str, needed)))
        return f"{needs}; a key needs the scope {scopes} as well."

    def get_override_parameters(self) -> list[Any]:
        found: list[Any] = []
        query = getattr(self.view, "query", None)
        if query is not None and self.method == "GET":
            found.append(query)
        if self._is_page():
            found += list_parameters(getattr(self.view, "filterset_class", None))
        idempotent = getattr(self.view, "idempotent", "")
        if self.method in UNSAFE and idempotent:
            found.append(_idempotency_key(required=idempotent != "optional"))
        return found + list(getattr(self.view, "parameters", ()))

    def _is_page(self) -> bool:
        return self.method == "GET" and getattr(self.view, "paged", False)

    def get_request_serializer(self) -> Any:
        body = getattr(self.view, "body", None)
        if body is None or self.method not in WITH_BODY:
            return None
        return OpenApiRequest(body, examples=[OpenApiExample("example", self._body_example(body))])

    def _body_example(self, body: type[Body]) -> Any:
        return getattr(body, "example", None) or example_of(self._map_serializer(body(), "request"), self._components())

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        schema = super()._map_serializer(serializer, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        if isinstance(serializer, Body) and schema:
            schema["additionalProperties"] = False
            if not vars(type(serializer)).get("__doc__") or type(serializer) is Body:
                schema["description"] = "There are no other fields."
        return schema

    def get_response_serializers(self) -> Any:
        answer = self._answer()
        self._register(problems.NAME, problems.SCHEMA, problems)
        found: dict[Any, Any] = {(str(status), answer.media_type): self._success(answer) for status in answer.statuses}
        if getattr(self.view, "etag", False) and self.method == "GET":
            found["304"] = OpenApiResponse(description="Nothing has changed since the answer with this ETag.")
        named = "{" in self.path
        for status, codes in problems.problems(self.view, self.method, named=named).items():
            if status not in answer.statuses:
                found[str(status)] = _problem(status, codes)
        return dict(sorted(found.items(), key=lambda item: item[0] if isinstance(item[0], str) else item[0][0]))

    def _answer(self) -> Answer:
        row = getattr(self.view, "serializer_class", None) if self._is_page() else None
        declared = getattr(self.view, "answers", {}).get(self.method, row)
        return declared if isinstance(declared, Answer) else Answer(declared)

    def _success(self, answer: Answer) -> OpenApiResponse:
        if answer.document is None:
            return OpenApiResponse(description="Done; there is no body.")
        schema = self._document(answer.document)
        if getattr(self.view, "many", False):
            schema = {"type": "array", "items": schema}
        if self._is_page():
            schema = _page(schema)
        example = OpenApiExample("example", example_of(schema, self._components()))
        return OpenApiResponse(schema, description="Done.", examples=[example])

    def _document(self, document: Any) -> Schema:
        if isinstance(document, dict):
            return document
        if isinstance(document, Serializer) or (isclass(document) and issubclass(document, Serializer)):
            return dict(self.resolve_serializer(document, "response").ref)
        return schema_of(document, self._refer)

    def _refer(self, kind: type) -> Schema:
        """The reference to a dataclass, registered under its name; the placeholder ends a recursion."""
        component = self._register(kind.__name__, {}, kind)
        if not component.schema:
            component.schema = object_schema(kind, self._refer)
        return dict(component.ref)

    def _register(self, name: str, schema: Schema, identity: Any) -> ResolvedComponent:
        component = ResolvedComponent(name, "schemas", schema, identity)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return self.registry[component]

    def _components(self) -> dict[str, Schema]:
        return dict(self.registry.build({}).get("schemas", {}))

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The login of the pages."""

    target_class = "autotrader.core.rest.authentication.SessionLogin"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        said = "The login of the pages; a request that changes something carries the header X-CSRFToken as well."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": said}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """API keys."""

    target_class = "autotrader.core.rest.authentication.KeyLogin"
    name = "key"

    def get_security_requirement(self, auto_schema: AutoSchema) -> Any:
        people_only = getattr(auto_schema.view, "people_only", ())
        return None if auto_schema.method in people_only else super().get_security_requirement(auto_schema)

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        said = "`Authorization: Bearer at_<prefix>_<secret>`; the header X-API-Key takes the same key."
        return {"type": "http", "scheme": "bearer", "description": said}


def below_api(endpoints: list[tuple[str, Any, str, Any]], **_: Any) -> list[tuple[str, Any, str, Any]]:
    """The routes that the document is about; an alias elsewhere is none of them."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith("/api/")]


def with_raw_routes(result: Schema, **_: Any) -> Schema:
    """The document with the routes that are served before the framework is asked."""
    result["paths"] = dict(sorted({**result["paths"], **RAW_ROUTES}.items()))
    return result


def _idempotency_key(*, required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 80, "pattern": "^[!-~]+$", "example": "order-2026-11-20-1"},
        location="header",
        required=required,
        description="A key of its own for each request: the same key and body is answered the same and done once.",
    )


def _page(rows: Schema) -> Schema:
    following = {"type": "string", "nullable": True, "description": "The cursor of the next page; null on the last."}
    return {
        "type": "object",
        "properties": {"results": {"type": "array", "items": rows}, "next": following},
        "required": ["results", "next"],
        "additionalProperties": False,
    }


def _problem(status: int, codes: list[str]) -> OpenApiResponse:
    examples = [OpenApiExample(code, problems.example(status, code)) for code in codes]
    said = f"Codes: {', '.join(codes)}, or a more special one of docs/errors.md."
    return OpenApiResponse({"$ref": f"#/components/schemas/{problems.NAME}"}, description=said, examples=examples)
