#!/usr/bin/env python
"""Django's command line for AutoTrader; a contradictory configuration ends in exit code 2 and one sentence."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotrader.settings")
    from autotrader.core.errors import ConfigInvalid

    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except ConfigInvalid as error:
        print(f"configuration: {error.message}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(130)


if __name__ == "__main__":
    main()
