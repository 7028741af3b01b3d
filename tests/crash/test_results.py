"""What a result of the harness holds for: the skins that are left out are run by no process of a cell."""

from __future__ import annotations

import grimp

from tests.crash.harness.results import ROOT, SKINS

# Each looked at: it is imported for what no cell does.
REVIEWED = {
    ("autotrader.core.users.access", "autotrader.core.rest.throttling"),  # who asks: the doors of the web
    ("autotrader.core.users.key_ring", "autotrader.core.rest.throttling"),
    ("autotrader.wiring", "autotrader.operations.figures"),  # the figures of /metrics
    ("trading.tasks", "autotrader.core.rest.idempotency"),  # drops answers that were kept for a day
}


def test_nothing_outside_the_skins_imports_one() -> None:
    names = tuple(skin.removesuffix(".py").replace("/", ".") for skin in SKINS)
    graph = grimp.build_graph("autotrader", "trading", "research", "broker", cache_dir=None)

    def is_skin(module: str) -> bool:
        return any(module == name or module.startswith(f"{name}.") for name in names)

    found = {
        (module, used)
        for module in graph.modules
        if not is_skin(module)
        for used in graph.find_modules_directly_imported_by(module)
        if is_skin(used)
    }
    assert found == REVIEWED


def test_every_skin_is_there() -> None:
    assert [skin for skin in SKINS if not (ROOT / skin).exists()] == []
