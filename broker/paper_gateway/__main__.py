"""`python -m broker.paper_gateway`: the gateway on its own, for any TWS API client."""

from __future__ import annotations

import argparse
import sys

from broker.paper_gateway.command import add_arguments, options_from, run


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m broker.paper_gateway", description="A paper-trading TWS gateway.")
    add_arguments(parser)
    arguments = parser.parse_args()
    return run(options_from(arguments), exit_with_stdin=arguments.exit_with_stdin)


if __name__ == "__main__":
    sys.exit(main())
