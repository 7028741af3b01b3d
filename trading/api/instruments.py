"""Instruments over REST: what may be traded, and setting up one more by the broker's own word on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django_filters import CharFilter, ChoiceFilter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from autotrader.core.errors import Conflict
from autotrader.core.rest.documents import Answer
from autotrader.core.rest.limits import refuse_limited
from autotrader.core.rest.lists import ListEndpoint
from autotrader.core.rest.serializers import Body
from autotrader.core.rest.views import Endpoint, actor_of
from broker import get_broker, types
from broker.errors import BrokerError, BrokerUnavailable
from trading.api.filters import WholeFilter, filters
from trading.models import Instrument
from trading.selectors.settings import NotSetUp, instrument_named, instruments_set_up
from trading.services.instruments import instrument_add

SEC_TYPES = ("STK", "ETF")
WORD = r"^[A-Z0-9][A-Z0-9. ]{0,19}$"


@dataclass(frozen=True, slots=True)
class InstrumentDocument:
    """A contract; what only the broker knows is null until it was resolved for the first time."""

    id: int
    symbol: str
    sec_type: str
    exchange: str
    currency: str
    primary_exchange: str
    con_id: int | None
    name: str
    tick: Decimal | None
    lot: Decimal | None
    time_zone: str
    resolved_at: datetime | None


class NewInstrument(Body):
    """The words by which the broker finds the one contract."""

    symbol = serializers.RegexField(WORD, help_text="As the broker writes it, in capitals.")
    sec_type = serializers.ChoiceField(choices=SEC_TYPES, default="STK")
    exchange = serializers.RegexField(WORD, default="SMART")
    currency = serializers.RegexField(r"^[A-Z]{3}$", default="USD")


class InstrumentsEndpoint(ListEndpoint):
    """GET: the instruments, the newest first. POST: set up an instrument; the broker is asked for its contract."""

    permissions = {"GET": "trading.view_instrument", "POST": "trading.add_instrument"}
    body = NewInstrument
    answers = {"GET": InstrumentDocument, "POST": Answer(InstrumentDocument, (201,))}
    errors = {"POST": (Conflict, BrokerUnavailable, BrokerError)}
    filterset_class = filters(
        "InstrumentFilters",
        symbol=CharFilter(max_length=20, help_text="As the broker writes it."),
        con_id=WholeFilter(min_value=1, max_value=2**63 - 1, help_text="The broker's id."),
        sec_type=ChoiceFilter(choices=[(name, name) for name in SEC_TYPES], help_text="The type."),
        currency=CharFilter(max_length=3, help_text="Its currency."),
    )

    def queryset(self) -> QuerySet[Instrument]:
        return instruments_set_up()

    def document(self, row: Instrument) -> dict[str, Any]:
        return asdict(document(row))

    def post(self, request: Request) -> Response:
        refuse_limited(request)
        query = types.ContractQuery(**self.told(request))
        try:
            with get_broker(own=False) as broker:
                made = instrument_add(query, broker=broker, actor=actor_of(request))
        except Conflict as error:
            if not self.goes_on or error.reason != "ALREADY_THERE":
                raise
            made = Instrument.objects.get(pk=error.details["id"])
        return Response(asdict(document(instrument_named(made.pk))), status=201)


class InstrumentEndpoint(Endpoint):
    """GET: one instrument."""

    permissions = {"GET": "trading.view_instrument"}
    answers = {"GET": InstrumentDocument}
    errors = (NotSetUp,)
    etag = True

    def get(self, request: Request, pk: int) -> Response:
        refuse_limited(request)
        return Response(asdict(document(instrument_named(pk))))


def document(row: Instrument) -> InstrumentDocument:
    """The instrument as programs see it."""
    return InstrumentDocument(
        id=row.pk,
        symbol=row.symbol,
        sec_type=row.sec_type,
        exchange=row.exchange,
        currency=row.currency,
        primary_exchange=row.primary_exchange,
        con_id=row.con_id,
        name=row.name,
        tick=row.tick,
        lot=row.lot,
        time_zone=row.time_zone,
        resolved_at=row.resolved_at,
    )
