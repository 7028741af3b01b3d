"""The port can be read without Django, and its page is current."""

from __future__ import annotations

import subprocess
import sys

import pytest

from broker import docs
from broker.port import TABLE


@pytest.mark.parametrize("module", ["broker", "broker.types", "broker.port", "broker.errors", "broker.codec"])
def test_reading_the_port_loads_no_django(module: str) -> None:
    program = f"import sys, {module}; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0


def test_the_page_of_the_port_is_current() -> None:
    assert docs.PATH.read_text() == docs.render(), "run python -m broker.docs"


def test_every_call_has_its_place_and_its_twin_in_both_adapters() -> None:
    from broker.remote import RemoteBroker
    from broker.service.local import LocalBroker

    for adapter in (RemoteBroker, LocalBroker):
        for name in TABLE:
            assert callable(getattr(adapter, name))
            assert callable(getattr(adapter, f"a{name}"))
