"""Lists of history in the admin that stay fast at a million rows: never counted, read by key, found by index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import IGNORED_PARAMS, SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import IntegerField, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect

from autotrader.core.admin_filters import oldest_of_newest
from autotrader.core.admin_kit import HistoryAdmin
from autotrader.core.exports import EXPORT, csv_answer, export_noted, exported_fields, rows_to_export

OLDER, NEWER = "older", "newer"
OWN = (OLDER, NEWER, EXPORT)
LONGEST_KEY = 18  # digits; more a column of 64 bits may not hold
MOST_FOUND = 500  # ids that one condition names
LONGEST_SEARCH, MOST_WORDS = 200, 5  # of characters and of words; each word is asked of every finder
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
        return [f"-{self._time()}", "-pk"] if self._time() else ["-pk"]

    def get_results(self, request: HttpRequest) -> None:
        older, newer = _key(request, OLDER), _key(request, NEWER)
        size = self.list_per_page
        if newer is not None:
            rows = list(self._beyond(newer, "gt").reverse()[: size + 1])
            has_newer, has_older = len(rows) > size, True
            rows = rows[:size][::-1]
        else:
            wanted = self.queryset if older is None else self._beyond(older, "lt")
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

    def _time(self) -> str:
        """The time that the list is ordered by, since by nothing else it is narrowed; "" where by the key.

        By the key a database would read every newer row before those of a day, or sort the whole day. With another
        filter it is the key again, as that filter's own index has it.
        """
        time: str = getattr(self.model_admin, "timed", "")
        asked = [name for name in self.params if name not in IGNORED_PARAMS]
        alone = bool(asked) and not self.query and all(name.startswith(f"{time}__") for name in asked)
        return time if time and alone else ""

    def _beyond(self, key: int, side: str) -> QuerySet[Any]:
        """The rows older ("lt") or newer ("gt") than the one with this key."""
        rows: QuerySet[Any] = self.queryset
        time = self._time()
        if not time:
            return rows.filter(**{f"pk__{side}": key})
        at = self.root_queryset.filter(pk=key).values_list(time, flat=True).first()
        if at is None:
            raise IncorrectLookupParameters(f"there is no row {key}")
        # No OR: SQLite would read by two indexes then, and sort.
        return rows.filter(**{f"{time}__{side}e": at}).exclude(
            **{time: at, f"pk__{'gte' if side == 'lt' else 'lte'}": key}
        )

    def _link(self, rows: list[Any], *, has_newer: bool, has_older: bool) -> None:
        self.newest_url = self.get_query_string() if has_newer else ""
        self.newer_url = self.get_query_string({NEWER: rows[0].pk}) if has_newer and rows else ""
        self.older_url = self.get_query_string({OLDER: rows[-1].pk}) if has_older and rows else ""
        self.export_url = self.get_query_string({EXPORT: "csv"})


def by_field(path: str) -> Finder:
    """Rows whose column says exactly this; the column must have an index."""
    return lambda word: Q(**{path: word})


def by_newest(model: type[Model], path: str) -> Finder:
    """Of the newest rows those whose column, which has no index, says exactly this."""

    def find(word: str) -> Q | None:
        said = number_in(word) if isinstance(model._meta.get_field(path), IntegerField) else word
        if said is None:
            return None
        rows = model._default_manager.filter(**{path: said}, pk__gt=oldest_of_newest(model)).order_by("-pk")
        ids = list(rows.values_list("pk", flat=True)[:MOST_FOUND])
        return Q(pk__in=ids) if ids else None

    return find


def by_number(path: str = "pk") -> Finder:
    """Rows with this number."""

    def find(word: str) -> Q | None:
        number = number_in(word)
        return None if number is None else Q(**{path: number})

    return find


def number_in(word: str) -> int | None:
    """The number that a word is, None where it is none that a column could hold."""
    if len(word) > LONGEST_KEY or not (word.isascii() and word.isdecimal()):
        return None
    return int(word)


def may_be_searched(text: str) -> bool:
    """Whether a search is short enough to be looked for."""
    return len(text) <= LONGEST_SEARCH and len(text.split()) <= MOST_WORDS


def _key(request: HttpRequest, name: str) -> int | None:
    """The row that a page begins after; the list answers what is no number with itself, from the newest."""
    text = request.GET.get(name)
    if text is None:
        return None
    number = number_in(text)
    if number is None:
        raise IncorrectLookupParameters(f"{name} is not the number of a row")
    return number


def _narrowed(request: HttpRequest) -> dict[str, str]:
    """What a list is filtered by and searched for, by name; where a page of it begins narrows nothing."""
    return {name: str(text) for name, text in request.GET.items() if name not in OWN}


class BigHistoryAdmin(HistoryAdmin):
    """History of any length. `finders` say what a word of the search may be; each answers with a condition that an
    index serves, or None. `timed` names a time with an index of (time, key). `exported` names the columns of the CSV;
    without it every short column of the row."""

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    sortable_by: ClassVar[Any] = ()
    change_list_template = "admin/desk/big_list.html"
    actions: Any = ("export_chosen",)
    finders: ClassVar[Sequence[Finder]] = ()
    timed: ClassVar[str] = ""
    exported: ClassVar[Sequence[str]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetList

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        # The search box is shown where this names something; what is looked at say the finders.
        return ("pk",) if self.finders else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows that every word of the search fits; exactly, as indexes find it. None for a search that is too long."""
        asked = search_term.replace("\x00", "").strip()
        if not may_be_searched(asked):
            return queryset.none(), False
        for word in asked.split():
            found = [said for said in (finder(word) for finder in self.finders) if said is not None]
            if not found:
                return queryset.none(), False
            queryset = queryset.filter(reduce(or_, found))
        return queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not may_be_searched(request.GET.get(SEARCH_VAR, "").replace("\x00", "").strip()):
            limits = f"at most {MOST_WORDS} words of together {LONGEST_SEARCH} characters"
            messages.warning(request, f"Nothing was looked for: search with {limits}.")
        if request.method == "GET" and EXPORT in request.GET and self.has_view_permission(request):
            return self._export_list(request)
        return super().changelist_view(request, extra_context)

    @admin.action(description="Export the chosen rows as CSV", permissions=["view"])
    def export_chosen(self, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        """The chosen rows, newest first; where all of the list is chosen, as it is filtered and searched."""
        if request.POST.get("select_across", "").lower() in ("", "0", "false"):
            return self._export(request, rows, {"chosen": "by hand"})
        return self._export(request, rows, {"chosen": "all of the list", **_narrowed(request)})

    def _export_list(self, request: HttpRequest) -> Any:
        """The list as it is filtered and searched, from its newest row on."""
        try:
            rows = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(request.path)
        return self._export(request, rows, _narrowed(request))

    def _export(self, request: HttpRequest, rows: QuerySet[Any], filters: dict[str, str]) -> Any:
        name, actor = self._file_name(), request.user.get_username()
        export_noted(actor=actor, name=name, filters=filters, rows=rows_to_export(rows))
        return csv_answer(request, name, exported_fields(self.model, self.exported), rows)

    def _file_name(self) -> str:
        model: type[Model] = self.model
        return str(model._meta.model_name)
