"""The table of a list of history: Unfold's cells, with what is the same in every row made once.

Unfold asks for all headers anew for each row, and renders a template for each checkbox: half of such a page's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import DateField, ForeignKey, Model, TimeField
from django.utils.functional import cached_property
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.templatetags.unfold_list import CHECKBOX_CLASSES, LINK_CLASSES, ROW_CLASSES, result_headers
from unfold.utils import display_for_field, display_for_value

from autotrader.core.admin_lists import KeysetList

# Stands for a row's key in what is made once: nothing in it is quoted in an address, nor in a key, which is a number.
KEY = "key-of-the-row"
CHECKBOX = "action_checkbox"
Cell = Callable[[Model], str]


class TableList(KeysetList):
    """A list that draws its own rows: nothing in them is edited, sorted by hand or opened."""

    @cached_property
    def table_headers(self) -> Sequence[dict[str, Any]]:
        """As Unfold's own template of them reads them."""
        return list(result_headers(self))

    def table_rows(self) -> Iterator[SafeString]:
        """The cells of each row."""
        cells = [self._drawn(place, name) for place, name in enumerate(map(str, self.list_display))]
        for row in self.result_list:
            yield mark_safe("".join(cell(row) for cell in cells))

    def _drawn(self, place: int, name: str) -> Cell:
        """What draws a column: the checkbox, what opens the record, or a plain value."""
        label = self.table_headers[place]["text"]
        if name == CHECKBOX:
            box = self.model_admin.action_checkbox(self.model(pk=KEY))
            return partial(_keyed, _wrapped("td", CHECKBOX_CLASSES, "Select record", box))
        classes = [f"field-{name}", *ROW_CLASSES]
        field = self._field(name)
        if isinstance(field, DateField | TimeField | ForeignKey):
            classes.append("nowrap")
        is_link = name in (self.list_display_links or ())
        tag = "th" if is_link and name == self.list_display_links[0] else "td"
        before, _, after = _wrapped(tag, classes, label, self._opening() if is_link else KEY).rpartition(KEY)
        return lambda row: f"{_keyed(before, row)}{conditional_escape(self._shown(name, row))}{after}"

    def _field(self, name: str) -> Any:
        return next((field for field in self.lookup_opts.get_fields() if field.name == name), None)

    def _opening(self) -> SafeString:
        """Around the value, which comes for the last of the keys."""
        filters: dict[str, Any] = {"preserved_filters": self.preserved_filters, "opts": self.opts}
        url = add_preserved_filters(filters, self.url_for_result(self.model(pk=KEY)))
        opener = format_html(' data-popup-opener="{}"', KEY) if self.is_popup else ""
        return format_html('<a href="{}" class="{}"{}>{}</a>', url, " ".join(LINK_CLASSES), opener, KEY)

    def _shown(self, name: str, row: Model) -> Any:
        empty = self.model_admin.get_empty_value_display()
        try:
            field, attribute, value = lookup_field(name, row, self.model_admin)
        except ObjectDoesNotExist:
            return empty
        empty = getattr(attribute, "empty_value_display", empty)
        if field is None or field.auto_created:
            return display_for_value(value, empty, getattr(attribute, "boolean", False))
        if isinstance(field, ForeignKey):
            return empty if value is None else value
        return display_for_field(value, field, empty)


def _wrapped(tag: str, classes: Sequence[str], label: object, content: object) -> SafeString:
    return format_html('<{} class="{}" data-label="{}">{}</{}>', tag, " ".join(classes), label, content, tag)


def _keyed(text: str, row: Model) -> str:
    return text.replace(KEY, f"{row.pk:d}")
