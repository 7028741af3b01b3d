"""A whole desk as `manage.py up` runs it, in a folder and on ports of its own, and the people who look at it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psutil

from autotrader.core.ops import beats
from autotrader.core.ops.children import kill_session
from autotrader.management.gateways import listening
from tests.browser import real_seed
from tests.browser.conftest import Visitor
from tests.environment import FOLDER, fast_folder
from tests.research.openai_server import Behaviour, LoopbackModelServer, Question, agreeable
from tests.support import ROOT, eventually, free_port, gone

STARTS = 180  # seconds, on a machine that is busy with other tests
PATIENCE = 60.0  # seconds for a page to say what it must; mostly it takes one
ANSWERS = 130  # seconds that a model may be held
# Made for tests of one process; the desk's processes set what they need.
NOT_PASSED_ON = ("AUTOTRADER_DATABASE_URL", "AUTOTRADER_LOG_DIR", "AUTOTRADER_PROCESS_ROLE")
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}


class Model:
    """The desk's model: it says buy. While it is held a cycle stands still where it asks."""

    def __init__(self) -> None:
        self._answers = threading.Event()
        self._answers.set()
        self._buys = agreeable("buy")
        self.server = LoopbackModelServer(self._answer)

    def _answer(self, question: Question) -> Behaviour:
        self._answers.wait(ANSWERS)
        return self._buys(question)

    def hold(self) -> None:
        """No answer until `go_on()`."""
        self._answers.clear()

    def go_on(self) -> None:
        """Answer what was asked meanwhile, and everything from now on."""
        self._answers.set()


class Processes:
    """The supervisor and its children. It can be frozen, so that what was killed stays away until it goes on."""

    def __init__(self, state: Path, model_url: str) -> None:
        self.state = state
        self.port = free_port()
        self.lines: list[str] = []
        kept = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        self._environment = {
            **kept,
            "AUTOTRADER_STATE_DIR": str(state),
            "AUTOTRADER_ANCHOR_DIR": str(state / "anchors"),
            "AUTOTRADER_BIND": f"127.0.0.1:{self.port}",
            "AUTOTRADER_BROKER_PORT": str(free_port()),
            "AUTOTRADER_AI_MODEL": "test-model",
            "AUTOTRADER_AI_TIMEOUT_SECONDS": "140",
            "AUTOTRADER_AI_BUDGET_USD_PER_DAY": "100",
            "OPENAI_API_BASE": model_url,
            "OPENAI_API_KEY": "sk-loopback",
        }
        self.key = self._seeded()
        self._up = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def base(self) -> str:
        """Where the site is."""
        return f"http://127.0.0.1:{self.port}"

    def await_ready(self) -> None:
        """Until the site answers and the broker is ready for orders."""
        for words in ("Ctrl-C stops everything", "broker ready"):
            eventually(partial(self._has_said, words), STARTS, every=0.1)
        eventually(lambda: listening("127.0.0.1", self.port), STARTS, every=0.1)

    def pid(self, name: str) -> int:
        """The main process of that name: gateway, broker, work, now or web. 0 where none lives."""
        found = beats.read(name, self.state / "beats")
        return next((beat.pid or 0 for beat in found if beat.running), 0)

    def kill(self, name: str) -> int:
        """End it with all its descendants at once; the pid that it had."""
        pid = eventually(lambda: self.pid(name))  # a sign of life may be late
        kill_session(pid)
        eventually(lambda: gone(pid))
        return pid

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing is started again until the end of the block."""
        self._up.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._up.send_signal(signal.SIGCONT)

    def ask(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> tuple[int, dict[str, Any]]:
        """One request of a program, with the administrator's key: the status and the document."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def answer(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> tuple[int, dict[str, Any]]:
        """The same where the broker is there: one that is only slow is asked again."""

        def asked() -> tuple[int, dict[str, Any]] | None:
            status, told = self.ask(path, body, key)
            is_away = status == 503 and told["error"]["code"] == "BROKER_UNAVAILABLE"
            return None if is_away else (status, told)

        return cast("tuple[int, dict[str, Any]]", eventually(asked, PATIENCE, every=0.2))

    def refused_for_its_database(self) -> float:
        """How often the site has said so far that its database does not answer."""
        request = urllib.request.Request(f"{self.base}/api/metrics", headers={"Authorization": f"Bearer {self.key}"})

        def asked() -> str:
            with suppress(OSError), urllib.request.urlopen(request, timeout=30) as answer:
                return str(answer.read().decode())
            return ""

        return sum(float(found) for found in REFUSALS.findall(eventually(asked, PATIENCE, every=0.2)))

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database says, read past Django, whose own database is another one here."""
        with closing(sqlite3.connect(f"file:{self.state}/autotrader.sqlite3?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()

    def stop(self) -> None:
        """End all of them."""
        family = []
        if self._up.poll() is None:
            family = psutil.Process(self._up.pid).children(recursive=True)
        self._up.kill()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._up.wait()

    def _seeded(self) -> str:
        command = [sys.executable, "-m", "tests.browser.real_seed"]
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=STARTS, check=False
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["key"])

    def _has_said(self, words: str) -> bool:
        return any(words in line for line in list(self.lines))

    def _read(self) -> None:
        assert self._up.stdout is not None
        self.lines += self._up.stdout


# What a browser says of a server that is away. It belongs to the outage, and to nothing else.
AWAY = re.compile(
    r"net::ERR_(CONNECTION_|EMPTY_RESPONSE|INCOMPLETE_CHUNKED|SOCKET_NOT_CONNECTED)|^console: WebSocket |"
    r"^console: htmx:(afterRequest|sendError),"
)


# A machine that stands still for half a second makes the site say that its database is away, and its pages ask again.
REFUSALS = re.compile(r"^autotrader_database_refusals_total\{[^}]*\} (\S+)$", re.MULTILINE)
REFUSED = re.compile(r"^503 |^console: .*\b503\b")


# What a page has said is known also after it was loaded anew, which a page may do by itself.
REMEMBERS = """addEventListener("DOMContentLoaded", () => {
  for (const said of document.querySelectorAll(".web-message"))
    sessionStorage.said = `${sessionStorage.said || ""}${said.textContent}\n`;
});"""


@dataclass
class Viewer(Visitor):
    """Somebody at a page of the desk; a fault of the page is noted, except what belongs to an outage of the site."""

    is_out: bool = False
    seqs: list[int] = field(default_factory=list)

    def watch(self) -> None:
        """Note faults, and the numbers of the events that came by the live feed."""
        super().watch()
        self.page.add_init_script(REMEMBERS)
        self.page.on("websocket", self._listen)

    def _listen(self, link: Any) -> None:
        if urlsplit(link.url).path == "/live/":
            link.on("framereceived", self._take)

    def _take(self, text: str) -> None:
        self.seqs += [line["seq"] for line in json.loads(text).get("lines", [])]

    def _note(self, is_fault: bool, text: str) -> None:
        super()._note(is_fault and not (self.is_out and AWAY.search(text)), text)

    @contextmanager
    def outage(self, seconds: float = PATIENCE) -> Iterator[None]:
        """The site may be away in the block; after it the feed must be live again within so many seconds."""
        self.is_out = True
        yield
        self.badge("live", seconds=seconds)
        self.is_out = False

    def sees(self, words: str, within: str = "body", *, seconds: float = PATIENCE) -> Any:
        """Wait until the words stand there for the eye; gives the part of the page."""
        found = self.page.locator(within, has_text=words).first
        found.wait_for(state="visible", timeout=1000 * seconds)
        return found

    def was_told(self, words: str) -> None:
        """Wait until a page of this window has said so above its content, be it gone by now or not."""
        eventually(lambda: words in self._told(), PATIENCE, every=0.1)

    def _told(self) -> str:
        from playwright.sync_api import Error

        with suppress(Error):  # between two pages there is nobody to ask
            return str(self.page.evaluate("sessionStorage.said || ''"))
        return ""

    def says(self, pattern: str, within: str, *, seconds: float = PATIENCE) -> None:
        """Wait until what is written there fits the pattern; capitals do not count, `.` stands for line ends too."""
        wanted = re.compile(pattern, re.IGNORECASE | re.DOTALL)
        eventually(lambda: wanted.search(self.text(within)), seconds, every=0.1)

    def loses(self, selector: str, *, seconds: float = PATIENCE) -> None:
        """Wait until nothing of the kind is on the page any more."""
        self.page.locator(selector).first.wait_for(state="hidden", timeout=1000 * seconds)

    def badge(self, words: str, *, seconds: float = PATIENCE) -> None:
        """Wait until the badge of the feed says exactly this."""
        self.page.locator("#feed").get_by_text(words, exact=True).wait_for(state="visible", timeout=1000 * seconds)

    def text(self, selector: str) -> str:
        """What is written there at this moment."""
        return str(self.page.locator(selector).inner_text())

    def shown_seqs(self, selector: str) -> list[int]:
        """The numbers of the events in a list, as it shows them."""
        read = "lines => lines.map(line => Number(line.dataset.seq))"
        return list(self.page.eval_on_selector_all(f"{selector} [data-lines] > [data-seq]", read))


@dataclass
class Real:
    """The running desk, its model, and a browser in which two people have logged in."""

    processes: Processes
    model: Model
    browser: Any
    logins: dict[str, Any] = field(default_factory=dict)
    viewers: list[Viewer] = field(default_factory=list)
    refusals: float = 0.0

    def viewer(self, who: str = real_seed.ADMINISTRATOR, path: str = "/desk/", **window: Any) -> Viewer:
        """A new window of that person, at that page, with its feed live."""
        context = self.browser.new_context(storage_state=self._login(who), **(window or WIDE))
        context.set_default_timeout(1000 * PATIENCE)
        viewer = Viewer(context.new_page(), self.processes.base)
        viewer.watch()
        self.viewers.append(viewer)
        viewer.open(path)
        viewer.badge("live")
        return viewer

    def close_windows(self) -> list[str]:
        """End every window; what went wrong in them, but for what was refused while the database did not answer."""
        for viewer in self.viewers:
            viewer.page.context.close()
        faults = sorted({fault for viewer in self.viewers for fault in viewer.faults})
        self.viewers.clear()
        refusals, self.refusals = self.refusals, self.processes.refused_for_its_database()
        return [fault for fault in faults if self.refusals == refusals or not REFUSED.search(fault)]

    def _login(self, who: str) -> Any:
        if who not in self.logins:
            context = self.browser.new_context()
            context.set_default_timeout(1000 * PATIENCE)
            page = context.new_page()
            page.goto(self.processes.base + "/login/")
            page.fill("[name=username]", who)
            page.fill("[name=password]", real_seed.PASSWORD)
            page.click("[type=submit]")
            page.wait_for_url("**/desk/")
            self.logins[who] = context.storage_state()
            context.close()
        return self.logins[who]


@contextmanager
def running(browser: Any) -> Iterator[Real]:
    """The desk, ready for orders; nothing of it is left after the block."""
    state = Path(tempfile.mkdtemp(prefix="real-", dir=os.environ.get(FOLDER) or fast_folder()))
    model = Model()
    with model.server:
        processes = Processes(state, model.server.base_url)
        try:
            processes.await_ready()
            yield Real(processes, model, browser, refusals=processes.refused_for_its_database())
        finally:
            processes.stop()
            shutil.rmtree(state, ignore_errors=True)
