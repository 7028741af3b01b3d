#!/usr/bin/env python
"""Django's command line for AutoTrader: wrong settings end in exit code 2 and a sentence, a failing database in 1."""

from __future__ import annotations

import logging
import os
import sys

FIX = "start it, or make it ready with `make setup` or `manage.py prepare`."


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotrader.settings")
    from django.db import InterfaceError, OperationalError, ProgrammingError

    from autotrader.core.errors import ConfigInvalid

    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except ConfigInvalid as error:
        print(f"configuration: {error.message}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except (OperationalError, ProgrammingError, InterfaceError) as error:
        logging.getLogger("autotrader").debug("the command ended in an error of the database", exc_info=True)
        print(f"database: {_database()} fails this command ({_reason(error)}); {FIX}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def _database() -> str:
    """The database as a person knows it, without its password."""
    from django.conf import settings

    config = settings.DATABASES["default"]
    if "sqlite" in config["ENGINE"]:
        return f"the SQLite file {config['NAME']}"
    where = config.get("HOST") or config.get("OPTIONS", {}).get("host") or "this machine"
    return f"PostgreSQL's {config['NAME']} at {where}" + (f":{config['PORT']}" if config.get("PORT") else "")


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


if __name__ == "__main__":
    main()
