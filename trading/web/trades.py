"""Trades by our records; and what lists of the history share: filters, pages, and the same rows as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import sync_to_async
from django import forms
from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.template.loader import get_template
from django.urls import reverse
from django.views.decorators.http import require_safe

from autotrader.core.errors import AutoTraderError
from autotrader.core.exports import export_noted, is_formula
from autotrader.core.live.rows import RowList
from trading.selectors.history_documents import text
from trading.selectors.pages.orders import Listed, account_names, strategy_names
from trading.selectors.pages.trades import trades_among, trades_count, trades_listed, trades_whole
from trading.web.kit import head, page, panel, shown_to

VIEW = "trading.view_trade"
DECISIONS = "trading.view_decision"
BODY = "web/trades/_body.html"
COLUMNS = {
    "id": "id", "account": "account_id", "strategy": "strategy__name", "symbol": "instrument__symbol",
    "currency": "instrument__currency", "side": "side", "state": "state", "quantity": "quantity",
    "open_quantity": "open_quantity", "entry_price": "entry_price", "exit_price": "exit_price",
    "commission": "commission", "pnl": "pnl", "r": "r", "result": "result", "fees_pending": "fees_pending",
    "decided_by": "decision__decided_by", "decision": "decision_id", "opened_at": "opened_at",
    "closed_at": "closed_at", "held": "held",
}  # fmt: skip
Rows = Sequence[Mapping[str, Any]]
MOST_ROWS = 100_000
# The rows that a page asks for by themselves, by the keys that an event's line names.
ONLY, MOST_ALONE = "only", 20
EARLIEST, LATEST = date(1970, 1, 1), date(2200, 1, 1)
DAY = timedelta(days=1)


def choice(values: Sequence[str]) -> forms.ChoiceField:
    """One of these, or any."""
    return forms.ChoiceField(required=False, choices=[("", "any"), *((value, _word(value)) for value in values)])


def _word(value: str) -> str:
    return value.replace("_", " ")


class ListFilters(forms.Form):
    """What a list is narrowed to; nothing given = everything. A day begins at midnight UTC."""

    symbol = forms.CharField(required=False, max_length=40)
    strategy = forms.ChoiceField(required=False)
    account = forms.ChoiceField(required=False)
    day = forms.DateField(
        required=False,
        label="Day (UTC)",
        validators=[MinValueValidator(EARLIEST), MaxValueValidator(LATEST)],
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        for name, known in (("strategy", strategy_names), ("account", account_names)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = _any_of(known)
        for field in self.fields.values():
            field.widget.attrs["class"] = "desk-input"

    def clean_symbol(self) -> str:
        """Symbols are written in capitals."""
        return str(self.cleaned_data["symbol"]).upper()

    def asked(self) -> dict[str, Any]:
        """The conditions, by the names of the history's lists; of a valid form."""
        found = {name: value for name, value in self.cleaned_data.items() if value and name != "day"}
        day = self.cleaned_data.get("day")
        if day is not None:
            begin = datetime.combine(day, time.min, UTC)
            found |= {"from": begin, "to": begin + DAY}
        return found

    @property
    def given(self) -> dict[str, str]:
        """What was said, by the filter's name."""
        return {name: self.data[name] for name in self.fields if self.data.get(name)}

    @property
    def query(self) -> str:
        """The filters as an address carries them."""
        return urlencode(self.given)


def list_context(
    request: HttpRequest, form: ListFilters, read: Callable[[Mapping[str, Any], str], Listed], *, is_first: bool = False
) -> dict[str, Any]:
    """What a list shows; of filters that are wrong, nothing. Raises Invalid for a cursor that is none of the list."""
    cursor = "" if is_first else request.GET.get("cursor", "")
    found = read(form.asked(), cursor) if form.is_valid() else Listed(())
    return {"form": form, "found": found, "query": form.query, "is_first": not cursor, "most_rows": MOST_ROWS}


def _any_of(known: Callable[[], list[str]]) -> Callable[[], list[tuple[str, str]]]:
    """The choices, asked for where they are shown or one of them is given: a panel that is renewed does neither."""

    @cache
    def choices() -> list[tuple[str, str]]:
        return [("", "any"), *((value, value) for value in known())]

    return choices


def rows_alone(
    request: HttpRequest, form: ListFilters, template: str, read: Callable[[Mapping[str, Any], Sequence[str]], Rows]
) -> HttpResponseBase:
    """The rows that the page names, as far as the list would show them: what an event changed is on it at once."""
    keys = [key for key in request.GET.getlist(ONLY)[:MOST_ALONE] if key.isprintable()]
    return panel(request, template, {"rows": read(form.asked(), keys) if form.is_valid() else ()})


def row_list(
    permission: str, template: str, key: str, read: Callable[[Mapping[str, Any], Sequence[str]], Rows]
) -> RowList:
    """The list whose rows `template` shows, known by the column `key`: each is the same as on the page."""

    def made(keys: Sequence[str], held: Collection[str]) -> dict[str, str]:
        perms = {"trading": {name.partition(".")[2]: True for name in held}}
        found = get_template(template)
        return {str(row[key]): found.render({"rows": [row], "perms": perms}) for row in read({}, keys)}

    return RowList(permission, made, frozenset({DECISIONS}))


def taken(request: HttpRequest, name: str, form: ListFilters, rows: int) -> None:
    """Write down who takes so many rows of which list as a file; before the first of them leaves. HEAD takes none."""
    if request.method == "GET":
        export_noted(actor=request.user.get_username(), name=name, filters=form.given, rows=rows)


def csv_answer(
    request: HttpRequest, name: str, columns: Mapping[str, str], rows: Iterator[Rows]
) -> StreamingHttpResponse:
    """The rows as a file, written while they are read. `columns`: heading → the row's value; numbers are not quoted."""
    pieces = iter(()) if request.method == "HEAD" else _written(columns, rows)
    # Left to itself an ASGI site would read the whole file into memory before the first byte leaves.
    streamed: Any = _one_by_one(pieces) if isinstance(request, ASGIRequest) else pieces
    answer = StreamingHttpResponse(streamed, content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-newest-{MOST_ROWS}.csv"'
    answer["Cache-Control"] = "no-store"
    return answer


def _written(columns: Mapping[str, str], rows: Iterator[Rows]) -> Iterator[str]:
    yield _lines([list(columns)])
    for piece in rows:
        yield _lines([[cell(row[key]) for key in columns.values()] for row in piece])


def _lines(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


async def _one_by_one(pieces: Iterator[str]) -> AsyncIterator[str]:
    """Each piece read in the thread of the request, and sent before the next is read."""
    following = sync_to_async(lambda: next(pieces, None), thread_sensitive=True)
    while (piece := await following()) is not None:
        yield piece


def cell(value: object) -> str:
    """A value as a cell: numbers plain, times in ISO with their zone; what a spreadsheet would run is made text."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return text(value) or ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (int, float)):
        return str(value)
    written = str(value)
    return f"'{written}" if is_formula(written) else written


TRADE_ROWS = row_list(VIEW, BODY, "id", trades_among)


class TradeFilters(ListFilters):
    """What the list of trades is narrowed to; the day is the one it was opened on."""

    state = choice(("OPEN", "CLOSED"))
    side = choice(("long", "short"))


@require_safe
@shown_to(VIEW)
def trade_list(request: HttpRequest) -> HttpResponseBase:
    """Round trips, newest first, narrowed by what the address says."""
    after = head()
    try:
        context = list_context(request, TradeFilters(request.GET), trades_listed)
    except AutoTraderError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(reverse("trades"))
    return page(request, "web/trades/list.html", context, after=after)


@require_safe
@shown_to(VIEW)
def trade_rows(request: HttpRequest) -> HttpResponseBase:
    """The newest trades anew, or some of them, narrowed as the page is."""
    form = TradeFilters(request.GET)
    if ONLY in request.GET:
        return rows_alone(request, form, BODY, trades_among)
    context = list_context(request, form, trades_listed, is_first=True)
    return panel(request, "web/trades/_rows.html", context)


@require_safe
@shown_to(VIEW)
def trade_csv(request: HttpRequest) -> HttpResponseBase:
    """What the list shows, as a file of at most MOST_ROWS rows, the newest first."""
    form = TradeFilters(request.GET)
    if not form.is_valid():
        messages.error(request, "Correct the filters first.")
        return HttpResponseRedirect(reverse("trades"))
    taken(request, "trade", form, trades_count(form.asked(), MOST_ROWS))
    return csv_answer(request, "trades", COLUMNS, trades_whole(form.asked(), MOST_ROWS))
