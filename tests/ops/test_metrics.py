"""What the metrics tell: equal to the rows, added up over processes, and with labels that no caller chooses."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from autotrader.core.audit.models import AuditHead
from autotrader.core.clock import system_now
from autotrader.core.ops import log_files, measures, metrics, shared_values, value_files
from autotrader.core.ops.tally import SETTLED_AFTER, Counted, Tally
from autotrader.core.users.models import User
from autotrader.operations.figures import SiteFigures
from research.models import ModelCall
from tests.live import make_key
from tests.support import ROOT, child_environment
from tests.trading_admin.story import tell
from trading import tasks
from trading.models import Cycle, Decision, Fill, Order, RiskVerdict, StepRun, WorkflowExecution
from trading.selectors.figures import DeskFigures

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]
PAGE = ROOT / "docs" / "operations.md"


def parsed(text: str) -> Samples:
    """Name → labels → value."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def page(client: Client, **headers: str) -> Samples:
    answer = client.get("/api/metrics", headers=headers)
    assert answer.status_code == 200, answer.content
    return parsed(answer.content.decode())


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that remember nothing of another test's database."""
    monkeypatch.setattr(metrics, "_sources", [DeskFigures().read, SiteFigures().read])


@pytest.fixture
def boss(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    return client


def test_what_a_cycle_left_is_told_as_the_rows_say(boss: Client, fresh: None) -> None:
    tell("buy")
    told = page(boss)
    assert told["autotrader_events_total"] == {(): AuditHead.objects.get().seq}
    assert sum(told["autotrader_cycles"].values()) == Cycle.objects.count() > 0
    assert told["autotrader_fills_total"] == {(): Fill.objects.count()}
    for name, rows in {
        "autotrader_orders": Order.objects.values_list("state"),
        "autotrader_executions": WorkflowExecution.objects.values_list("state"),
    }.items():
        states = [row[0] for row in rows]
        assert told[name] == {(("state", state),): states.count(state) for state in states}
    steps = list(StepRun.objects.values_list("name", "state"))
    assert told["autotrader_steps_total"] == {(("state", s), ("step", n)): steps.count((n, s)) for n, s in steps}
    verdicts = list(RiskVerdict.objects.values_list("rule", "allowed"))
    words = {True: "allowed", False: "refused"}
    assert told["autotrader_verdicts_total"] == {
        (("control", rule), ("word", words[said])): verdicts.count((rule, said)) for rule, said in verdicts
    }
    assert sum(told["autotrader_decisions"].values()) == Decision.objects.count()


def test_calls_to_models_are_told_with_their_tokens_and_cost(boss: Client, fresh: None) -> None:
    for state, tokens, cost in (("DONE", 100, "0.25"), ("FAILED", 10, "0.05"), ("OPEN", 0, "0")):
        ModelCall.objects.create(
            purpose="p", prompt_name="n", prompt_version="1", prompt_hash="h", model="m", request="[]", cache_key="k",
            state=state, tokens_in=tokens, tokens_out=tokens * 2, cost=cost, created_at=system_now(),
        )  # fmt: skip
    told = page(boss)
    assert told["autotrader_model_calls"] == {(("state", state),): 1 for state in ("DONE", "FAILED", "OPEN")}
    assert told["autotrader_model_tokens_total"] == {(("way", "in"),): 110, (("way", "out"),): 220}
    assert told["autotrader_model_cost_usd_total"] == {(): pytest.approx(0.3)}


@pytest.mark.parametrize("scopes", [("read",), ("trade", "halt")])
def test_a_program_needs_the_scope_read_and_no_limits(db: None, fresh: None, scopes: tuple[str, ...]) -> None:
    user = User.objects.create_superuser("boss", password="x")
    key = make_key(user, scopes=scopes)
    expected = 200 if "read" in scopes else 403
    assert Client().get("/api/metrics", headers=key).status_code == expected
    limited = make_key(user, scopes=scopes, accounts=("DU1",))
    assert Client().get("/api/metrics", headers=limited).status_code == 403


def test_a_person_needs_to_see_the_events(db: None, fresh: None) -> None:
    user = User.objects.create_user("somebody", password="x")
    client = Client()
    assert client.get("/api/metrics").status_code == 401
    client.force_login(user)
    assert client.get("/api/metrics").status_code == 403
    user.user_permissions.add(Permission.objects.get(content_type__app_label="audit", codename="view_event"))
    assert client.get("/api/metrics", headers={"accept": "text/plain"}).status_code == 200


# Counting without reading everything again


@pytest.fixture
def calls(db: None) -> Callable[..., ModelCall]:
    def make(age: timedelta, state: str = "DONE", tokens: int = 1) -> ModelCall:
        return ModelCall.objects.create(
            purpose="p", prompt_name="n", prompt_version="1", prompt_hash="h", model="m", request="[]", cache_key="k",
            state=state, tokens_in=tokens, created_at=system_now() - age,
        )  # fmt: skip

    return make


OLD, NEW = SETTLED_AFTER * 2, timedelta()
COUNTED = Counted(ModelCall, "created_at", ("state",), ("tokens_in",), open=Q(state="OPEN"))


def test_what_is_settled_is_counted_once_and_the_rest_each_time(calls: Callable[..., ModelCall]) -> None:
    tally = Tally(COUNTED)
    for _ in range(3):
        calls(OLD)
    late = calls(NEW, "OPEN")
    assert tally.read(system_now()) == {("DONE",): (3, 3), ("OPEN",): (1, 1)}
    ModelCall.objects.filter(pk__lt=late.pk).update(tokens_in=99)  # as nobody does
    ModelCall.objects.filter(pk=late.pk).update(state="FAILED", tokens_in=5)
    assert tally.read(system_now()) == {("DONE",): (3, 3), ("FAILED",): (1, 5)}


def test_a_row_that_ends_late_is_counted_by_what_it_became(calls: Callable[..., ModelCall]) -> None:
    tally = Tally(COUNTED)
    pending = calls(OLD, "OPEN")
    calls(OLD)
    assert tally.read(system_now()) == {("OPEN",): (1, 1), ("DONE",): (1, 1)}
    for state in ("FAILED", "FAILED"):
        ModelCall.objects.filter(pk=pending.pk).update(state=state)
        assert tally.read(system_now()) == {("FAILED",): (1, 1), ("DONE",): (1, 1)}


def test_another_database_than_before_is_counted_anew(calls: Callable[..., ModelCall]) -> None:
    tally = Tally(COUNTED)
    for _ in range(3):
        calls(OLD)
    assert tally.read(system_now()) == {("DONE",): (3, 3)}
    ModelCall.objects.order_by("-pk")[0].delete()
    assert tally.read(system_now()) == {("DONE",): (2, 2)}


def test_no_question_reads_what_is_settled(calls: Callable[..., ModelCall]) -> None:
    tally = Tally(COUNTED)
    for _ in range(3):
        calls(OLD)
    tally.read(system_now())
    with CaptureQueriesContext(connection) as asked:
        tally.read(system_now())
    bounded = [query["sql"] for query in asked if re.search(r'"id" (>|=|IN)', query["sql"])]
    assert len(bounded) == len(asked) <= 4


# Numbers of several processes


@pytest.fixture
def place(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """A state folder of the test's own, for this process as well."""
    before = settings.AUTOTRADER_STATE_DIR
    settings.AUTOTRADER_STATE_DIR = tmp_path
    yield tmp_path / "metrics"
    settings.AUTOTRADER_STATE_DIR = before


def collected(place: Path) -> Samples:
    """What was counted; a word that this process has used before stands in its files with 0."""
    found: Samples = {}
    for sample in (sample for family in value_files.collected(place) for sample in family.samples):
        if sample.value:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def counting(place: Path, program: str) -> subprocess.Popen[str]:
    """A process with our settings that counts, says so and waits."""
    lines = ["import django", "django.setup()", "from autotrader.core.ops import measures", program]
    text = "\n".join([*lines, "print('did', flush=True)", "input()"])
    environment = child_environment(AUTOTRADER_STATE_DIR=str(place.parent))
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", text], cwd=ROOT, env=environment, text=True, stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "did\n"
    return process


def test_the_numbers_of_all_processes_are_added_up_and_outlive_them(transactional_db: None, place: Path) -> None:
    program = (
        "import os\n"
        "for _ in range(3): measures.broker_call('quote', 0.02, 'ok')\n"
        "measures.stream_opened()\n"
        "if (child := os.fork()) == 0:\n"
        "    measures.broker_call('quote', 0.02, 'ok'); os._exit(0)\n"
        "os.waitpid(child, 0)"
    )
    other = counting(place, program)
    measures.broker_call("quote", 0.3, "unavailable")
    told = collected(place)
    labels = (("call", "quote"), ("side", "caller"))
    assert told["autotrader_broker_calls_total"] == {
        (("call", "quote"), ("outcome", "ok"), ("side", "caller")): 4,
        (("call", "quote"), ("outcome", "unavailable"), ("side", "caller")): 1,
    }
    assert told["autotrader_broker_seconds_count"] == {labels: 5}
    assert told["autotrader_broker_seconds_bucket"][tuple(sorted((*labels, ("le", "+Inf"))))] == 5
    assert told["autotrader_stream_clients"] == {(("kind", "events"),): 1}
    other.kill()
    other.wait()
    told = collected(place)
    assert told["autotrader_broker_seconds_count"] == {labels: 5}, "what was counted stays counted"
    assert "autotrader_stream_clients" not in told, "a stream ends with its process"
    assert value_files.sweep(place) == 5
    assert collected(place)["autotrader_broker_seconds_count"] == {labels: 1}


def test_a_full_disk_costs_the_figures_and_not_the_process(place: Path) -> None:
    place.parent.joinpath("metrics").write_text("a file where the folder should be")
    measures.http("somewhere", "GET", 200, 0.1)
    assert collected(place) == {}


def count_and_end(seconds: float = 0.25) -> None:
    """A call that was counted by a process which lives no more: nobody holds its files."""
    measures.broker_call("quote", seconds, "ok")
    measures.stream_opened()
    shared_values._after_fork()


def test_ended_processes_leave_one_file_a_kind_and_no_number_is_lost(place: Path) -> None:
    for _ in range(3):
        count_and_end()
    measures.broker_call("quote", 0.25, "ok")
    told = collected(place)
    assert told["autotrader_broker_seconds_count"] == {(("call", "quote"), ("side", "caller")): 4}
    for ended, living in ((9, 2), (0, 2)):
        assert value_files.fold(place) == ended
        assert collected(place) == told
        assert (len(list(place.glob("*.db"))), len(list(place.glob("*.sum")))) == (living, 2)
    shared_values._after_fork()
    assert value_files.fold(place) == 2
    assert collected(place) == told


def test_a_fold_that_is_cut_short_neither_loses_nor_doubles(place: Path) -> None:
    count_and_end()
    told, ended = collected(place), list(place.glob("[ch]*.db"))
    # Ended before its sums counted:
    value_files.new_file(place, "counter", value_files._values(next(place.glob("counter_*.db"))), ".sum")
    assert collected(place) == told
    # Ended before it took away what is within them:
    value_files._put(place, ended, [])
    assert collected(place) == told
    assert value_files.fold(place) == 1, "the gauge"
    assert collected(place) == told
    assert (list(place.glob("*.db")), len(list(place.glob("*.sum")))) == ([], 2)


def test_a_full_disk_leaves_no_file_and_one_that_it_left_breaks_no_page(place: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        measures.broker_call("quote", 0.25, "ok")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(place.iterdir()) == []
    shared_values._after_fork()
    measures.broker_call("quote", 0.25, "ok")
    told = collected(place)
    (place / "counter_1-0.db").touch()
    assert collected(place) == told != {}
    assert value_files.fold(place) == 1
    assert collected(place) == told


def test_each_wake_keeps_the_disk_from_filling_whatever_else_fails(
    place: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(now: object) -> bool:
        raise LookupError

    monkeypatch.setattr(tasks, "overdue_raise", ends)
    log = place.parent / "work.jsonl"
    settings.LOGGING = {"handlers": {"file": {"filename": str(log)}}}
    log.touch()
    os.truncate(log, log_files.LARGEST + 1)
    count_and_end()
    with pytest.raises(ExceptionGroup):
        tasks.wake()
    assert (log.exists(), log.with_name("work.jsonl.1").exists()) == (False, True)
    assert (list(place.glob("*.db")), len(list(place.glob("*.sum")))) == ([], 2)


# Labels


def test_a_file_that_breaks_costs_the_figures_and_no_call(place: Path) -> None:
    measures.broker_call("kill", 0.1, "ok")
    for file in list(shared_values._files._open.values()):
        file.close()
    for _ in range(2):
        measures.broker_call("kill", 0.1, "ok")
    assert [shared_values._files._open[kind] for kind in ("counter", "histogram")] == [None, None]


def test_no_label_takes_what_a_caller_sent(db: None, place: Path) -> None:
    client = Client()
    for path in ("/api/orders/EVIL-1/status", "/nowhere/EVIL", "/api/EVIL", "/health?EVIL=1", "/admin/EVIL/"):
        client.get(path)
    client.generic("EVIL", "/health")
    told = collected(place)["autotrader_http_requests_total"]
    assert not [labels for labels in told if "EVIL" in str(labels)]
    assert {dict(labels)["method"] for labels in told} == {"GET", "other"}
    routes = {dict(labels)["route"] for labels in told}
    assert {"health", "other", "api/orders/<str:order_ref>/status"} <= routes


def test_every_figure_stands_on_the_page_on_operations(db: None) -> None:
    listed = set(re.findall(r"^\| `(autotrader_\w+)`", PAGE.read_text(), re.MULTILINE))
    counted = {f"{metric._name}_total" if metric._type == "counter" else metric._name for metric in measures.ALL}
    figures = metrics.figures(system_now())
    read = {f"{metrics.PREFIX}{one.name}{'_total' if one.kind == 'counter' else ''}" for one in figures}
    assert listed == counted | read
