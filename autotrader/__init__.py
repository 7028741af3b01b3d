"""The AutoTrader site: settings, URLs, wiring; nobody imports it, except its core."""
