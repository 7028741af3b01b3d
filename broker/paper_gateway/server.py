"""The gateway itself: it listens, holds the sessions, carries engine events to clients, and keeps the clock ticking."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import datetime
from types import TracebackType

from broker.paper_gateway.complaints import Complaints
from broker.paper_gateway.desk import Desk
from broker.paper_gateway.dispatch import ROUTES, dispatch, is_start
from broker.paper_gateway.faults.panel import Faults
from broker.paper_gateway.handlers.account import push_account, push_profit
from broker.paper_gateway.handlers.market_data import push_quotes
from broker.paper_gateway.reference.library import Library, open_library
from broker.paper_gateway.session import Session
from broker.paper_gateway.steering import SteeredExchange
from broker.paper_gateway.types import (
    AccountChanged,
    ClockMoved,
    CommissionReported,
    EngineEvent,
    Executed,
    OrderBound,
    OrderChanged,
    OrderRefused,
)
from broker.paper_gateway.wire import answers, orders_out
from broker.paper_gateway.wire.times import epoch, stamp

BEAT_SECONDS, SHORTEST_BEAT = 0.25, 0.1
BEATS_PER_PROFIT = 4
BEATS_PER_ACCOUNT = 720
START_SECONDS = 30.0
UNKNOWN = "unknown"
FRAMES_KEPT, KEPT_FIELDS, KEPT_LENGTH, SHORT = 1000, 300, 200, 8000

logger = logging.getLogger(__name__)


class PaperGateway:
    """A TWS API server in front of a simulated exchange; everything happens in the loop it was started in."""

    def __init__(
        self,
        exchange: SteeredExchange,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        fault_seed: int = 0,
        start_seconds: float = START_SECONDS,
        master_client: int | None = None,
        library: Library | None = None,
    ) -> None:
        """`start_seconds`: how long a connection may take from its first byte to startApi before it is closed."""
        self.desk = Desk(exchange, library or open_library())
        self.desk.master_client = master_client
        self.faults = Faults(self, fault_seed)
        self.complaints = Complaints(self.later)
        self.start_seconds = start_seconds
        self.exchange = exchange
        self.host = host
        self.port = port
        self.frames: Counter[str] = Counter()
        self.recent: defaultdict[str, deque[list[str]]] = defaultdict(lambda: deque(maxlen=FRAMES_KEPT))
        self._sessions: set[Session] = set()
        self._in_line: list[Session] = []
        self._changed: set[int] | None = None
        self._server: asyncio.Server | None = None
        self._beating: asyncio.Task[None] | None = None
        exchange.listen(self._heard)
        exchange.leave_commits()

    async def start(self) -> None:
        """Listen; with port 0 the system chooses one, readable as `port` afterwards."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        if not self.exchange.clock_is_set:
            self._beating = loop.create_task(self._beat_forever())

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._beating is not None:
            self._beating.cancel()
        if self._server is not None:
            self._server.close()
        self.faults.heal()
        self.desk.scanning.stop()
        for session in list(self._sessions):
            session.close()
        if self._server is not None:
            await self._server.wait_closed()

    async def __aenter__(self) -> PaperGateway:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def connected_at(self) -> str:
        """The time of the gateway's clock that the handshake answer carries."""
        return stamp(self.exchange.now())

    def opened(self, session: Session) -> None:
        """A socket was accepted."""
        self._sessions.add(session)

    def closed(self, session: Session) -> None:
        """A socket is gone: its client id is free again."""
        self._sessions.discard(session)
        if session.client_id is not None and self.desk.clients.get(session.client_id) is session:
            del self.desk.clients[session.client_id]

    def received(self, session: Session, fields: list[str]) -> None:
        """Count a message and have it answered; the session flushes what came of it."""
        name = ROUTES[fields[0]].name if fields and fields[0] in ROUTES else UNKNOWN
        self.frames[name] += 1
        self.recent[name].append(fields if sum(map(len, fields)) < SHORT else _cut(fields))
        if is_start(fields):
            session.started()
        if not self.faults.live or (self.faults.request(session, name, fields) and session.is_open):
            self.answer(session, fields)

    def answer(self, session: Session, fields: list[str]) -> None:
        """Have a message answered; before startApi there is none."""
        if session.client_id is None and not is_start(fields):
            session.close()
        else:
            dispatch(self.desk, session, fields)

    def kept(self, name: str) -> list[list[str]]:
        """The latest frames of that name, oldest first; long ones are cut."""
        return [_cut(fields) for fields in self.recent.get(name, ())]

    def commit(self) -> None:
        """Keep all that is about to be told; one commit does for everything that a turn of the loop has brought."""
        self.exchange.commit()

    def has_frames(self, session: Session) -> None:
        """A session has something to write at the next flush."""
        self._in_line.append(session)

    def flush(self) -> None:
        """Write what is in line for each client in one piece, a changed account last; nothing that cannot be kept."""
        self.commit()
        changed, self._changed = self._changed, None
        if changed is not None:
            for session in list(self._sessions):
                push_account(self.desk, session, changed)
        in_line, self._in_line = self._in_line, []
        for session in in_line:
            session.flush()

    # What a fault can reach

    def sessions(self) -> list[Session]:
        """Every open connection."""
        return list(self._sessions)

    def later(self, seconds: float, run: Callable[[], None]) -> Callable[[], None]:
        """Call `run` after that many real seconds; the answer takes it back."""
        return asyncio.get_running_loop().call_later(seconds, run).cancel

    def monotonic(self) -> float:
        """Real seconds, for spans."""
        return asyncio.get_running_loop().time()

    def account_changed(self, con_ids: Iterable[int]) -> None:
        """Have positions and account values told again with the next flush."""
        self._changed = (self._changed or set()) | set(con_ids)

    async def advance(self, to: datetime) -> None:
        """Play a set clock up to `to`; returns when every frame that came of it was handed to the sockets.

        Raises GatewayError or ValueError where the exchange refuses.
        """
        await self._move(self.exchange.advance, to)

    async def jump(self, to: datetime) -> None:
        """Move a running clock forward; as `advance`."""
        await self._move(self.exchange.clock_jump, to)

    async def _move(self, move: Callable[[datetime], None], to: datetime) -> None:
        try:
            move(to)
            push_quotes(self.desk, self._sessions)
            self.desk.scanning.refresh()
            self._changed = self._changed or set()
        finally:
            self.flush()
        await asyncio.gather(*[session.drained() for session in self._sessions])

    def beat(self, count: int) -> None:
        """One beat of a running clock: match working orders, then tell subscribers what moved."""
        if count % BEATS_PER_PROFIT == 0 or self.exchange.has_open_orders():
            self.exchange.tick()
        push_quotes(self.desk, self._sessions)
        if count % BEATS_PER_PROFIT == 0:
            for session in self._sessions:
                push_profit(self.desk, session)
        if count % BEATS_PER_ACCOUNT == 0:
            self._changed = self._changed or set()
        self.desk.scanning.refresh()
        self.flush()

    def _pause(self) -> float:
        """Seconds to the next beat: more beats where market time flies."""
        return max(SHORTEST_BEAT, BEAT_SECONDS / max(1.0, self.exchange.speed))

    async def _beat_forever(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(self._pause())
            count += 1
            try:
                self.beat(count)
            except Exception:
                logger.exception("a beat of the running clock failed; the next one comes in %s s", self._pause())

    def _heard(self, event: EngineEvent) -> None:
        """Put what the engine says in line, unless a fault keeps it from being heard."""
        if self.faults.live and not self.faults.event(event):
            return
        self.faults.pushing = True
        try:
            self._tell(event)
        finally:
            self.faults.pushing = False

    def _tell(self, event: EngineEvent) -> None:
        """Put what the engine says in line for the client that owns the order, and the master client."""
        match event:
            case OrderChanged(order):
                for session in self.desk.audience(order.terms.client_id):
                    if order.terms.order_id or session.client_id == self.desk.master_client:
                        self.desk.show_order(session, order)
            case Executed(order, execution):
                for session in self.desk.audience(order.terms.client_id):
                    spec = self.desk.contracts.by_id(execution.con_id)
                    session.send(orders_out.execution_details(session.version, -1, execution, spec))
            case CommissionReported(client_id, commission):
                for session in self.desk.audience(client_id):
                    session.send(orders_out.commission_report(commission))
            case OrderBound(perm_id, client_id, order_id):
                for session in self.desk.audience(client_id):
                    session.send(orders_out.order_bound(perm_id, client_id, order_id))
            case OrderRefused(client_id, order_id, code, text):
                if owner := self.desk.clients.get(client_id):
                    owner.error(order_id, code, text)
            case ClockMoved(at):
                for session in self.desk.clients.values():
                    if session.subscriptions.account_updates:
                        session.send(answers.clock_moved(epoch(at), self.exchange.account))
            case AccountChanged(_, con_ids):
                self.account_changed(con_ids)


def _cut(fields: list[str]) -> list[str]:
    return [field[:KEPT_LENGTH] for field in fields[:KEPT_FIELDS]]
