"""`manage.py verify_audit`: exit 0 where the chain is whole and fits its anchors, else 1 and the first bad row."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from autotrader.core.audit.anchors import AnchorsBroken, anchors_read
from autotrader.core.audit.verify import Verdict, verify_chain


class Command(BaseCommand):
    help = (
        "Recompute the audit log's hash chain, compare it with the anchors, and name the first row that does not fit."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--anchors`: a copy that was kept elsewhere."""
        parser.add_argument("--anchors", type=Path, help="this file of anchors instead of the settings' own")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the verdict."""
        verdict = _verdict(options["anchors"])
        if verdict.ok:
            fitting = f", {verdict.anchors} anchors fit" if verdict.anchors else ", no anchors yet"
            self.stdout.write(self.style.SUCCESS(f"audit: {verdict.rows} rows, chain whole{fitting}"))
            return
        where = f"broken at row {verdict.bad_seq}" if verdict.bad_seq else "the anchors are broken"
        self.stderr.write(self.style.ERROR(f"audit: {where}: {verdict.reason}"))
        sys.exit(1)


def _verdict(path: Path | None) -> Verdict:
    if path is None:
        return verify_chain()
    if not path.is_file():
        return Verdict(0, 0, f"{path} is not there")
    try:
        return verify_chain(anchors_read(path))
    except AnchorsBroken as error:
        return Verdict(0, 0, error.message)
