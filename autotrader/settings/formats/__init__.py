"""How Django writes dates where a page does not say it: the same everywhere, with the zone."""
