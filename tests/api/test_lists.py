"""Lists: pages by cursor, tags, and parameters that nobody declared refused by their names."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Q, QuerySet
from django.test import Client, RequestFactory
from django_filters import CharFilter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.audit.models import Event
from autotrader.core.rest import paging
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.paging import Place, Wanted, cursor_of, page_of, place_of
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint
from autotrader.core.users.models import User
from trading.api.filters import filters
from trading.models import Instrument


class InstrumentRow(serializers.ModelSerializer[Instrument]):
    class Meta:
        model = Instrument
        fields = ("symbol", "currency")


class Instruments(ListEndpoint):
    permissions = {"GET": ""}
    serializer_class = InstrumentRow
    answers = {"GET": InstrumentRow}

    def queryset(self) -> QuerySet[Any, Any]:
        return Instrument.objects.all()


class Asking(Endpoint):
    """Says what it was asked."""

    class Asked(Body):
        symbol = serializers.CharField(max_length=5)
        count = serializers.IntegerField(default=1)

    permissions = {"GET": "", "POST": ""}
    query = Asked
    idempotent = ""

    def get(self, request: Request) -> Response:
        return Response(self.asked(request))

    def post(self, request: Request) -> Response:
        return Response({})


@pytest.fixture
def boss(db: None) -> User:
    for number in range(7):
        Instrument.objects.create(symbol=f"I{number}", currency="USD")
    return User.objects.create_superuser("boss", password="x")


def call(view: type[Endpoint], user: User, query: str = "", *, method: str = "get", **headers: str) -> Any:
    request = getattr(RequestFactory(), method)(f"/api/x?{query}", headers=headers)
    request.user = user
    request._dont_enforce_csrf_checks = True
    response: Any = view.as_view()(request)
    return response.render() if hasattr(response, "render") else response


def code_of(response: Any) -> tuple[int, str, str]:
    error = response.data["error"]
    return response.status_code, error["code"], error["details"].get("field", "")


def symbols(response: Any) -> list[str]:
    return [row["symbol"] for row in response.data["results"]]


def test_pages_follow_one_another_without_loss_or_repeat(boss: User) -> None:
    first = call(Instruments, boss, "limit=3")
    second = call(Instruments, boss, f"limit=3&cursor={first.data['next']}")
    third = call(Instruments, boss, f"limit=3&cursor={second.data['next']}")
    assert symbols(first) + symbols(second) + symbols(third) == [f"I{number}" for number in reversed(range(7))]
    assert third.data["next"] is None
    assert call(Instruments, boss, "limit=7").data["next"] is None
    assert call(Instruments, boss).data["results"][0] == {"symbol": "I6", "currency": "USD"}


@pytest.mark.parametrize("limit", ["0", "501", "-1", "1.5", "", "abc", "٣", "9" * 50, "NaN"])
def test_a_limit_is_a_number_from_1_to_500(boss: User, limit: str) -> None:
    assert code_of(call(Instruments, boss, f"limit={limit}")) == (422, "INVALID", "limit")


def test_a_cursor_is_good_for_its_own_list_and_order_alone(boss: User) -> None:
    place = Place(5)
    for cursor in ("5", "x" * 500, "5_.abc", cursor_of(place, "/api/other", by_time=False),
                   cursor_of(place, "/api/x", by_time=True)):  # fmt: skip
        assert code_of(call(Instruments, boss, f"cursor={cursor}")) == (422, "INVALID", "cursor")
    sound = cursor_of(place, "/api/x", by_time=False)
    assert sound is not None
    assert place_of(sound, "/api/x", by_time=False) == place
    assert call(Instruments, boss, f"cursor={sound}").status_code == 200


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("nope=1", "UNKNOWN_FIELD", "nope"),
        ("format=json", "UNKNOWN_FIELD", "format"),
        ("limit=1&limit=2", "INVALID", "limit"),
        ("=1", "UNKNOWN_FIELD", ""),
    ],
)
def test_a_parameter_that_nobody_declared_is_refused(boss: User, query: str, code: str, field: str) -> None:
    assert code_of(call(Instruments, boss, query)) == (422, code, field)


def test_declared_parameters_are_checked_and_no_others_known(boss: User) -> None:
    assert call(Asking, boss, "symbol=SPY").data == {"symbol": "SPY", "count": 1}
    assert code_of(call(Asking, boss, "symbol=SPY&count=x")) == (422, "INVALID", "count")
    assert code_of(call(Asking, boss, "count=1")) == (422, "INVALID", "symbol")
    assert code_of(call(Asking, boss, "symbol=SPY&nope=1")) == (422, "UNKNOWN_FIELD", "nope")
    assert code_of(call(Asking, boss, "symbol=SPY", method="post")) == (422, "UNKNOWN_FIELD", "symbol")


def test_who_has_the_answer_is_told_so(boss: User) -> None:
    first = call(Instruments, boss, "limit=2")
    tag = first["ETag"]
    again = call(Instruments, boss, "limit=2", **{"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)
    assert again["X-Correlation-Id"] != first["X-Correlation-Id"]
    for named in (f"W/{tag}", "*"):
        assert call(Instruments, boss, "limit=2", **{"If-None-Match": named}).status_code == 304
    assert call(Instruments, boss, "limit=3", **{"If-None-Match": tag}).status_code == 200
    Instrument.objects.create(symbol="NEW")
    assert call(Instruments, boss, "limit=2", **{"If-None-Match": tag}).status_code == 200
    assert "no-store" not in first["Cache-Control"]
    assert {"Cookie", "Authorization"} <= set(first["Vary"].split(", "))


def test_a_read_has_no_other_condition(boss: User) -> None:
    for name, value in (("If-Match", '"other"'), ("If-Unmodified-Since", "Wed, 01 Jan 2020 00:00:00 GMT")):
        answer = call(Instruments, boss, "limit=2", **{name: value})
        assert (answer.status_code, len(symbols(answer))) == (200, 2)


def test_head_is_answered_and_options_tells_nothing(boss: User) -> None:
    assert call(Instruments, boss, method="head")["ETag"] == call(Instruments, boss)["ETag"]
    for method in ("options", "trace", "delete", "post"):
        refused = call(Instruments, boss, method=method)
        assert (refused.status_code, refused.data["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
        assert refused["Allow"] == "GET, HEAD"


def test_who_is_not_logged_in_is_not_told_which_methods_there_are() -> None:
    for method in ("get", "options", "delete"):
        assert getattr(Client(), method)("/api/history/events").status_code == 401


@pytest.mark.parametrize("query", ["currency=USD&name=x", "name=x", "currency=EUR"])
def test_django_filters_own_conditions_filter_other_lists(boss: User, query: str) -> None:
    class Filtered(Instruments):
        filterset_class = filters("Filtered", currency=CharFilter(), name=CharFilter())

    Instrument.objects.filter(symbol="I3").update(name="x")
    told = {"currency=USD&name=x": ["I3"], "name=x": ["I3"], "currency=EUR": []}[query]
    assert symbols(call(Filtered, boss, query)) == told


def test_a_page_ends_with_its_window_and_names_the_next(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "WINDOW", 3)
    wanted = Wanted(rest=Q(symbol="I0"), columns=("id", "symbol"))
    place, seen = None, []
    for _ in range(3):
        page = page_of(Instrument.objects.all(), wanted, place, 5)
        seen.append([row["symbol"] for row in page.rows])
        place = page.place
    assert seen == [[], [], ["I0"]]
    assert place is None


def test_no_list_counts_its_rows(boss: User, django_assert_max_num_queries: Any) -> None:
    client = Client()
    client.force_login(boss)
    for path in ("events", "orders", "trades", "decisions"):
        with django_assert_max_num_queries(8) as asked:
            assert client.get(f"/api/history/{path}").status_code == 200
        assert not [query for query in asked.captured_queries if "COUNT(*)" in query["sql"].upper()]
    assert not Event.objects.exists()
