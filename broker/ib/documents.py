"""XML that the broker passes on from others: parsed only where it can name nothing outside itself."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError, fromstring

from broker.errors import MarketDataError

LONGEST = 32 * 1024 * 1024
_DECLARATIONS = re.compile(r"<!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)


def parse_xml(text: str, what: str) -> Element:
    """The root. Raises MarketDataError (UNREADABLE) for what is too long, no XML, or declares types or entities."""
    if len(text) > LONGEST:
        raise _unreadable(f"{what} is longer than {LONGEST} characters")
    if _DECLARATIONS.search(text):  # entities expand without bound or read files
        raise _unreadable(f"{what} declares a document type or entities, which are not read")
    try:
        return fromstring(text)
    except (ParseError, ValueError) as error:
        raise _unreadable(f"{what} is no XML: {error}") from error


def _unreadable(message: str) -> MarketDataError:
    return MarketDataError(message, code="UNREADABLE")
