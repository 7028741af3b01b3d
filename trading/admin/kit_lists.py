"""Lists of history that stay fast at a million rows: never counted, read by key from newer to older, found by index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect

from autotrader.core.admin_kit import HistoryAdmin
from trading.admin.kit_export import EXPORT, csv_answer, exported_fields
from trading.models.account import AccountKind

if TYPE_CHECKING:
    RelatedFilter = admin.RelatedFieldListFilter
else:
    from django.contrib.admin import RelatedFieldListFilter as RelatedFilter

DateFilter = admin.DateFieldListFilter
OLDER, NEWER = "older", "newer"
OWN = (OLDER, NEWER, EXPORT)
LONGEST_KEY = 18  # digits; more a column of 64 bits may not hold
SHOWN_REPLAYS = 20
Finder = Callable[[str], Q | None]


class Page(Paginator):  # type: ignore[type-arg]
    """What the template of a list asks of its paginator, with nothing counted."""

    template_name = "admin/desk/_older_newer.html"


class KeysetList(ChangeList):
    """One page of a list, newest first; `older` and `newer` in the address name the row it begins after.

    How many rows there are is not known: `result_count` is that of the page.
    """

    older_url = ""
    newer_url = ""
    newest_url = ""
    export_url = ""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        for name in OWN:
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        older, newer = _key(request, OLDER), _key(request, NEWER)
        size = self.list_per_page
        if newer is not None:
            rows = list(self.queryset.filter(pk__gt=newer).order_by("pk")[: size + 1])
            has_newer, has_older = len(rows) > size, True
            rows = rows[:size][::-1]
        else:
            wanted = self.queryset if older is None else self.queryset.filter(pk__lt=older)
            rows = list(wanted[: size + 1])
            has_newer, has_older = older is not None, len(rows) > size
            rows = rows[:size]
        self.result_list = rows
        self.result_count = len(rows)
        self.full_result_count = len(rows)  # as many as are shown: the head line then names no number
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = Page(rows, size)
        self._link(rows, has_newer=has_newer, has_older=has_older)

    def _link(self, rows: list[Any], *, has_newer: bool, has_older: bool) -> None:
        self.newest_url = self.get_query_string() if has_newer else ""
        self.newer_url = self.get_query_string({NEWER: rows[0].pk}) if has_newer and rows else ""
        self.older_url = self.get_query_string({OLDER: rows[-1].pk}) if has_older and rows else ""
        self.export_url = self.get_query_string({EXPORT: "csv"})


def _key(request: HttpRequest, name: str) -> int | None:
    """The row that a page begins after; the list answers what is no number with itself, from the newest."""
    text = request.GET.get(name)
    if text is None:
        return None
    if len(text) > LONGEST_KEY or not (text.isascii() and text.isdecimal()):
        raise IncorrectLookupParameters(f"{name} is not the number of a row")
    return int(text)


class LedgerFilter(RelatedFilter):
    """By account; of the replays only the newest, since each makes a ledger of its own."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        ledgers = field.related_model._default_manager.exclude(kind=AccountKind.REPLAY).order_by("pk")
        replays = field.related_model._default_manager.filter(kind=AccountKind.REPLAY).order_by("-created_at")
        return [(row.pk, str(row)) for row in [*ledgers[:200], *replays[:SHOWN_REPLAYS]]]


class BigHistoryAdmin(HistoryAdmin):
    """History of any length. `finders` say what a word of the search may be; each answers with a condition that an
    index serves, or None. `exported` names the columns of the CSV; without it every short column of the row."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by: ClassVar[Any] = ()
    change_list_template = "admin/desk/big_list.html"
    actions: Any = ("export_chosen",)
    finders: ClassVar[Sequence[Finder]] = ()
    exported: ClassVar[Sequence[str]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        # The search box is shown where this names something; what is looked at say the finders.
        return ("pk",) if self.finders else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows that every word of the search fits; exactly, as indexes find it."""
        for word in search_term.replace("\x00", "").split():
            found = [said for said in (finder(word) for finder in self.finders) if said is not None]
            queryset = queryset.filter(reduce(or_, found)) if found else queryset.none()
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method == "GET" and EXPORT in request.GET and self.has_view_permission(request):
            return self._export_list(request)
        return super().changelist_view(request, extra_context)

    @admin.action(description="Export the chosen rows as CSV", permissions=["view"])
    def export_chosen(self, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        """The chosen rows, newest first."""
        return csv_answer(request, self._file_name(), exported_fields(self.model, self.exported), rows)

    def _export_list(self, request: HttpRequest) -> Any:
        """The list as it is filtered and searched, from its newest row on."""
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(request.path)
        return csv_answer(request, self._file_name(), exported_fields(self.model, self.exported), rows)

    def _file_name(self) -> str:
        model: type[Model] = self.model
        return str(model._meta.model_name)
