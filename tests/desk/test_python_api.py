"""docs/python-api.md is one program; it runs here as it stands, against an embedded gateway of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from tests.support import ROOT, alone, child_environment

FILL = r"\S+ \d+ \d+(\.\d+)? \S+"  # execution, quantity, price, commission
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_page_runs_from_quote_to_cancel(tmp_path: Path) -> None:
    environment = child_environment(
        AUTOTRADER_STATE_DIR=str(tmp_path), AUTOTRADER_DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3"
    )
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True, timeout=200)
    program = "\n".join(BLOCK.findall((ROOT / "docs" / "python-api.md").read_text()))
    command = [sys.executable, "-c", program]
    with alone("usual port"):
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ready DU")
    (bought,) = [line.removeprefix("bought 10 at ") for line in lines if line.startswith("bought")]
    fills = [(Decimal(line.split()[1]), Decimal(line.split()[2])) for line in lines if re.fullmatch(FILL, line)]
    assert Decimal(bought) == sum(quantity * price for quantity, price in fills) / 10
    assert lines[-3:] == ["stop: Cancelled", "second entry: Cancelled", "held: []"]
