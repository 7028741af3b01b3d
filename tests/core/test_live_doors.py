"""Who may open an event stream, what they may ask, and when they have to leave."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.test import Client

from autotrader.core.live import doors
from autotrader.core.live.app import ROUTE
from autotrader.core.ops import measures
from autotrader.core.users.keys import key_revoke
from autotrader.core.users.models import ApiKey, User
from tests.live import Caller, calling, elsewhere, make_key, serving, until, write

pytestmark = pytest.mark.once

Headers = dict[str, str]


@pytest.fixture
def ann(transactional_db: None) -> User:
    """Somebody who may see events and nothing else."""
    user = User.objects.create_user("ann", password="x")
    user.user_permissions.add(Permission.objects.get(codename="view_event"))
    return User.objects.get(pk=user.pk)


def session(user: User) -> Headers:
    client = Client()
    client.force_login(user)
    return {"Cookie": f"other=1; sessionid={client.cookies['sessionid'].value}"}


async def refused(headers: Headers, query: str = "", method: str = "GET") -> tuple[int, str, Caller]:
    async with serving() as app, calling(app, headers, query, method=method) as caller:
        await caller.to_the_end()
        code = caller.body.partition(b'"code": "')[2].partition(b'"')[0].decode()
        return caller.status, code, caller


async def test_a_key_and_a_session_both_come_in(ann: User) -> None:
    for headers in (await elsewhere(make_key, ann), await elsewhere(session, ann)):
        async with serving() as app, calling(app, headers) as caller:
            assert caller.status == 200


async def test_nobody_comes_in_without_a_login(ann: User) -> None:
    forged = {"Authorization": "Bearer at_12345678_" + "x" * 43}
    for headers in ({}, forged, {"X-API-Key": "nonsense"}, {"Cookie": "sessionid=nonsense"}):
        status, code, caller = await refused(headers)
        assert (status, code) == (401, "NOT_AUTHENTICATED")
        assert caller.answer["www-authenticate"]
        assert caller.answer["x-correlation-id"].encode() in caller.body


async def test_a_bad_key_is_not_made_good_by_a_session(ann: User) -> None:
    cookie = await elsewhere(session, ann)
    assert (await refused({**cookie, "X-API-Key": "nonsense"}))[0] == 401


async def test_it_needs_the_permission_the_scope_and_no_limit_by_strategy(ann: User) -> None:
    bob = await elsewhere(partial(User.objects.create_user, "bob", password="x"))
    assert (await refused(await elsewhere(session, bob)))[:2] == (403, "NOT_ALLOWED")
    assert (await refused(await elsewhere(make_key, bob)))[:2] == (403, "NOT_ALLOWED")
    trades = await elsewhere(partial(make_key, ann, scopes=("trade",)))
    assert (await refused(trades))[:2] == (403, "SCOPE_MISSING")
    limited = await elsewhere(partial(make_key, ann, strategies=(1,)))
    assert (await refused(limited))[:2] == (403, "KEY_LIMITED")


@pytest.mark.parametrize(
    "query",
    [
        "after_id=-1", "after_id=NaN", "after_id=", "after_id=1.0", "after_id=1e3", "after_id=+1", "after_id=%201",
        "after_id=9223372036854775808", "after_id=" + "9" * 400, "after_id=%D9%A3", "after_id=1&after_id=2",
        "after_id=1_0", "after=1", "limit=5", "after_id=1&x=2", "=1", "&".join(f"a{n}=1" for n in range(50)),
    ],
)  # fmt: skip
async def test_a_place_that_is_none_is_refused_by_name(ann: User, query: str) -> None:
    status, code, caller = await refused(await elsewhere(make_key, ann), query)
    assert (status, code in {"INVALID", "UNKNOWN_FIELD"}) == (422, True)
    assert b'"field"' in caller.body


@pytest.mark.parametrize("told", ["-1", "abc", "1;2", "9223372036854775808"])
async def test_a_last_event_id_that_is_none_is_refused(ann: User, told: str) -> None:
    headers = await elsewhere(make_key, ann)
    assert (await refused({**headers, "Last-Event-ID": told}, "after_id=1"))[:2] == (422, "INVALID")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
async def test_only_get_is_answered(ann: User, method: str) -> None:
    status, code, caller = await refused(await elsewhere(make_key, ann), method=method)
    assert (status, code, caller.answer["allow"]) == (405, "METHOD_NOT_ALLOWED", "GET")
    assert (await refused({}, method=method))[0] == 401


@pytest.mark.parametrize("host", ["evil.example", "", "127.0.0.1.evil.example", "a b"])
async def test_a_request_meant_for_another_host_is_not_answered(ann: User, host: str) -> None:
    headers = await elsewhere(make_key, ann)
    assert (await refused({**headers, "host": host}))[:2] == (400, "HOST_UNKNOWN")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9", "https://127.0.0.1:8000", "", "http://["]
)
async def test_another_sites_page_cannot_read_with_a_cookie(ann: User, origin: str) -> None:
    cookie = await elsewhere(session, ann)
    assert (await refused({**cookie, "Origin": origin}))[:2] == (403, "NOT_ALLOWED")


async def test_our_own_page_may_and_a_key_may_from_anywhere(ann: User) -> None:
    cookie, key = await elsewhere(session, ann), await elsewhere(make_key, ann)
    ours, other = {**cookie, "Origin": "http://127.0.0.1:8000"}, {**key, "Origin": "https://evil.example"}
    for headers in (ours, other):
        async with serving() as app, calling(app, headers) as caller:
            assert caller.status == 200


async def test_a_key_has_five_streams_and_another_has_its_own(ann: User) -> None:
    key, other = await elsewhere(make_key, ann), await elsewhere(make_key, ann)
    async with serving() as app:
        callers = [Caller(app, key) for _ in range(5)]
        for caller in callers:
            caller.begin()
            assert await caller.started() == 200
        async with calling(app, key) as sixth:
            assert sixth.status == 429
            assert b"TOO_MANY_STREAMS" in sixth.body
            assert sixth.answer["retry-after"] == "1"
        async with calling(app, other) as caller:
            assert caller.status == 200
        await callers[0].leave()
        async with calling(app, key) as sixth:
            assert sixth.status == 200
        for caller in callers[1:]:
            await caller.leave()


async def test_a_refused_request_counts_and_one_too_many_is_told_to_wait(ann: User) -> None:
    limited = await elsewhere(partial(make_key, ann, strategies=(1,)))
    await elsewhere(lambda: ApiKey.objects.update(requests_per_minute=2))
    found = [await refused(limited) for _ in range(3)]
    assert [(status, code) for status, code, _ in found] == [(403, "KEY_LIMITED")] * 2 + [(429, "THROTTLED")]
    assert 1 <= int(found[2][2].answer["retry-after"]) <= 30


async def test_a_question_that_nobody_answers_is_given_up_in_time() -> None:
    answers = threading.Event()
    threads = doors._Threads(1, "test", 0.1)
    with pytest.raises(OperationalError, match="no answer in"):
        await threads.ask(answers.wait)
    answers.set()
    threads.close()


async def test_every_answer_is_counted_when_it_begins(ann: User) -> None:
    key = await elsewhere(make_key, ann)
    counts = [measures.HTTP_REQUESTS.labels(ROUTE, "GET", status)._value for status in ("2xx", "4xx")]
    before = [count.get() for count in counts]
    async with serving() as app, calling(app, key), calling(app, {}):
        assert [count.get() for count in counts] == [number + 1 for number in before]


async def test_a_process_serves_so_many_and_no_more(ann: User) -> None:
    key = await elsewhere(make_key, ann)
    async with serving(in_all=1) as app, calling(app, key), calling(app, key) as second:
        assert second.status == 429


def revoke(user: User) -> None:
    key_revoke(ApiKey.objects.get(user=user), actor="test")


def disable(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def take_the_permission(user: User) -> None:
    user.user_permissions.clear()


def log_out(user: User) -> None:
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()


def change_the_password(user: User) -> None:
    user.set_password("another one")
    user.save()


@pytest.mark.parametrize("loss", [revoke, disable, take_the_permission])
async def test_a_key_that_opens_nothing_any_more_ends_its_streams(ann: User, loss: object) -> None:
    assert await _last_words(ann, await elsewhere(make_key, ann), loss) == "access ended"


@pytest.mark.parametrize("loss", [log_out, disable, take_the_permission, change_the_password])
async def test_a_login_that_ends_ends_its_streams(ann: User, loss: object) -> None:
    assert await _last_words(ann, await elsewhere(session, ann), loss) == "access ended"


async def _last_words(user: User, headers: Headers, loss: object) -> str:
    """What a stream says last when its reader loses the right to it."""
    async with serving() as app, calling(app, headers) as caller:
        await caller.named("start")
        await elsewhere(loss, user)  # type: ignore[arg-type]
        frames = await caller.to_the_end()
        return str(frames[-1].comment)


async def test_no_event_leaves_on_a_login_that_nobody_could_look_at(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the database is away; when it is back, the events come."""
    looks: list[object] = []

    def away(accesses: object) -> None:
        looks.append(accesses)
        raise OperationalError("away")

    key, looking = await elsewhere(make_key, ann), doors.still_valid
    async with serving(recheck_s=0.05) as app, calling(app, key) as caller:
        start = (await caller.named("start")).data["after_id"]
        monkeypatch.setattr(doors, "still_valid", away)
        (stream,) = app._streams
        await until(lambda: looks)  # the answer of a look that began before might still come
        stream.checked_at -= app._rules.stale_s  # as long ago as that
        assert not stream._is_trusted()
        await elsewhere(write, 1)
        await until(lambda: app._tailer.seq > start and not stream._bell.is_set())
        assert caller.frames.empty()
        monkeypatch.setattr(doors, "still_valid", looking)
        assert await caller.seqs(1) == [start + 1]
