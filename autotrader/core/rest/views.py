"""The base of every endpoint: who may ask what, one correlation id a request, and unsafe requests done once a key."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal, cast

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseBase
from rest_framework.exceptions import APIException, MethodNotAllowed, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from autotrader.core import audit
from autotrader.core.clock import system_now
from autotrader.core.errors import AutoTraderError, Invalid
from autotrader.core.rest.errors import Malformed
from autotrader.core.rest.etags import tagged
from autotrader.core.rest.idempotency import Wish, Worked, answer_once, digest_of
from autotrader.core.rest.limits import limits_of, refuse_limited
from autotrader.core.rest.models import KeptAnswer
from autotrader.core.rest.parsers import refuse_odd
from autotrader.core.rest.renderers import ExactJsonRenderer
from autotrader.core.rest.serializers import Body

KEY_LENGTH = 80
SAFE = ("GET", "HEAD", "OPTIONS")
NAME_SHOWN = 40
LARGEST_KEY = 2**63 - 1
REFUSALS = (AutoTraderError, APIException, Http404, PermissionDenied)


class Endpoint(APIView):
    """Parse, call one service or selector, render.

    `permissions` names a permission for each method; `people_only` are methods that no key may use. `idempotent` says
    of the unsafe methods whether the Idempotency-Key is "required" or "optional", that the service keeps its keys
    itself ("own"), or that a repeat does no harm (""); with `atomic` the work touches the database alone and commits
    with its kept answer. `body`, `query` and `answers` (method → serializer or dataclass; `many`: a bare array of it)
    declare what is said; a query parameter that is not declared is refused by its name. `etag`: a GET is answered 304
    where the client has this very answer. `tagged_by` names the field of the other methods' answers that is their ETag.
    """

    permissions: dict[str, str] = {}
    people_only: frozenset[str] = frozenset()
    idempotent: Literal["required", "optional", "own", ""] = "required"
    atomic = False
    etag = False
    tagged_by = ""
    body: type[Body] | None = None
    query: type[Body] | None = None
    answers: ClassVar[Mapping[str, Any]] = {}
    many = False
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    correlation_id = ""
    # True where a process has died at this very request, so that it may be done already.
    goes_on = False

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with audit.acting() as acting:
            self.correlation_id = acting.correlation_id
            return super().dispatch(request, *args, **kwargs)

    def check_permissions(self, request: Request) -> None:
        """Who is not logged in is told so first; then a method that is not there is 405, whoever asks."""
        if request.user.is_authenticated and self._handler(request) is None:
            raise MethodNotAllowed(str(request.method))
        super().check_permissions(request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        refuse_odd(request)
        if not all(map(is_sound, kwargs.values())):
            raise NotFound(f"There is no {request.path[:NAME_SHOWN]!r}.")
        if request.query_params:
            self.check_parameters(request)
        handler = self._handler(request)
        if request.method not in SAFE and self.idempotent in {"required", "optional"} and handler is not None:
            # The framework looks the handler up after this, and finds the one that keeps answers.
            setattr(self, str(request.method).lower(), partial(self._once, handler))

    def check_parameters(self, request: Request) -> None:
        """Refuse query parameters where none is known: beside a body none ever is."""
        known = self.query().fields if self.query is not None and request.method in SAFE else {}
        for name in parameters(request):
            if name not in known:
                raise unknown_parameter(name, tuple(known))

    def asked(self, request: Request) -> dict[str, Any]:
        """The checked values of the query string. Raises Invalid naming the parameter."""
        return {} if self.query is None else self.query.read(parameters(request))

    def told(self, request: Request) -> dict[str, Any]:
        """The checked values of the body. Raises Invalid naming the field."""
        return {} if self.body is None else self.body.read(request.data)

    def handle_exception(self, exc: Exception) -> Response:
        response: Response = super().handle_exception(exc)
        patience = getattr(exc, "retry_after", None)
        if patience is not None:
            response.headers.setdefault("Retry-After", str(patience))
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        answered: Response = super().finalize_response(request, response, *args, **kwargs)
        if self.etag and answered.status_code == 200 and request.method in SAFE:
            answered = cast("Response", tagged(request, answered))
        answered.headers.setdefault("Cache-Control", "no-store")
        answered.headers.setdefault("X-Correlation-Id", self.correlation_id)
        return answered

    def _handler(self, request: Request) -> Callable[..., Any] | None:
        name = str(request.method).lower()
        return getattr(self, name, None) if name in self.http_method_names else None

    def _once(self, handler: Callable[..., Any], request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        work = partial(self._worked, handler, request, *args, **kwargs)
        if self.idempotent == "optional" and "Idempotency-Key" not in request.headers:
            return cast("HttpResponseBase", work().response)
        told = answer_once(self._wish(request), work, atomic=self.atomic, again=partial(self._go_on, work))
        if isinstance(told, KeptAnswer):
            if told.status < 400 and limits_of(request).is_limited:
                self.check_told(request, json.loads(told.body), **kwargs)
            return replayed(told, self.tagged_by)
        return cast("HttpResponseBase", told.response)

    def _go_on(self, work: Callable[[], Worked]) -> Worked:
        self.goes_on = True
        return work()

    def check_told(self, request: Request, told: Mapping[str, Any], **kwargs: Any) -> None:
        """Raise KeyLimited where a limited key, narrowed since, may not be told this answer of its own again.

        An endpoint that limited keys may use says what its answers are about; here none is told.
        """
        refuse_limited(request)

    def _wish(self, request: Request) -> Wish:
        key = idempotency_key(request)
        return Wish(
            client=client_under(request, lambda former: KeptAnswer.objects.filter(client=former, key=key).exists()),
            key=key,
            method=str(request.method),
            path=request.path,
            digest=digest_of(str(request.method), request.path, request.data, request.headers.get("If-Match", "")),
            correlation_id=self.correlation_id,
            at=system_now(),
        )

    def _worked(self, handler: Callable[..., Any], request: Request, *args: Any, **kwargs: Any) -> Worked:
        """Let the handler answer; its refusals are answers too."""
        undo = False
        try:
            response = handler(request, *args, **kwargs)
        except Exception as error:
            # A refusal leaves what it recorded about itself; a failure that nobody foresaw leaves nothing.
            undo = not isinstance(error, REFUSALS)
            response = self.handle_exception(error)
        body = ExactJsonRenderer().render(response.data) if isinstance(response, Response) else response.content
        return Worked(response, response.status_code, body.decode(), "Retry-After" in response.headers, undo)


class UnknownEndpoint(Endpoint):
    """Whatever no other endpoint answers, in the envelope too."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(f"There is no endpoint {request.path}.")


def is_sound(value: Any) -> bool:
    """Whether a part of the address can be looked up at all: both databases hold such text and such numbers."""
    return abs(value) <= LARGEST_KEY if isinstance(value, int) else str(value).isprintable()


def replayed(kept: KeptAnswer, tagged_by: str = "") -> HttpResponse:
    """The first answer once more, with the ETag that its field `tagged_by` tells."""
    headers = {"Idempotent-Replayed": "true"}
    said = json.loads(kept.body) if tagged_by else {}
    if tagged_by in said:
        headers["ETag"] = f'"{said[tagged_by]}"'
    return HttpResponse(kept.body, status=kept.status, content_type="application/json", headers=headers)


def parameters(request: Request) -> dict[str, str]:
    """The query string, each parameter once. Raises Invalid where one is given twice."""
    for name, values in request.query_params.lists():
        if len(values) > 1:
            shown = name[:NAME_SHOWN]
            raise Invalid(f"{shown} is given twice.", details={"field": shown, "fields": {shown: "given twice"}})
    return {str(name): str(value) for name, value in request.query_params.items()}


def unknown_parameter(name: str, known: tuple[str, ...]) -> Invalid:
    """The refusal of a query parameter by its name."""
    shown = name[:NAME_SHOWN]
    end = f"; known are {', '.join(known)}" if known else " here"
    details = {"field": shown, "fields": {shown: "unknown"}}
    return Invalid(f"There is no parameter {shown!r}{end}.", code="UNKNOWN_FIELD", details=details)


def actor_of(request: Request) -> str:
    """Who asks, as the audit log names people, with the key they ask by."""
    prefix = getattr(request.auth, "prefix", "")
    name = str(request.user.get_username())
    return f"{name} by key {prefix}" if prefix else name


def client_of(request: Request) -> str:
    """Whose keys are told apart from everybody else's: "key:<prefix>" of a program, "user:#<id>" of a person.

    No name has a "#" in it, and a name may be longer than what is kept of it, or change.
    """
    prefix = getattr(request.auth, "prefix", "")
    return f"key:{prefix}" if prefix else f"user:#{request.user.pk}"


def client_under(request: Request, has_kept: Callable[[str], bool]) -> str:
    """`client_of`, but a person's name as it was kept at first, cut off, where something was kept under that.

    A repeat of what was asked before an upgrade is none of a new request.
    """
    if getattr(request.auth, "prefix", ""):
        return client_of(request)
    former = f"user:{request.user.get_username()}"[:80]
    return former if has_kept(former) else client_of(request)


def idempotency_key(request: Request) -> str:
    """The header that makes an unsafe request safe to repeat. Raises Malformed where it is missing or no sound key."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise Malformed(
            "The header Idempotency-Key is missing: give each request a key of its own.", code="IDEMPOTENCY_KEY_MISSING"
        )
    if len(key) > KEY_LENGTH or not all("!" <= character <= "~" for character in key):
        raise Malformed(
            f"Idempotency-Key must have 1 to {KEY_LENGTH} printable ASCII characters without spaces.",
            code="IDEMPOTENCY_KEY_INVALID",
        )
    return key
