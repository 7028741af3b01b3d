"""Who may open the pages' socket, from where, at which place, and when it is closed with which code."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db import OperationalError

from autotrader.core.live import doors
from autotrader.core.users.models import User
from tests.core.test_live_doors import change_the_password, disable, log_out, take_the_permission
from tests.live import calling, elsewhere, make_key, until, write
from tests.live import serving as streaming
from tests.sockets import OURS, Page, login, opened, serving

pytestmark = pytest.mark.once

Headers = dict[str, str]


@pytest.fixture
def ann(transactional_db: None) -> User:
    """Somebody who may see events and nothing else."""
    user = User.objects.create_user("ann", password="x")
    user.user_permissions.add(Permission.objects.get(codename="view_event"))
    return User.objects.get(pk=user.pk)


async def refused(headers: Headers, query: str = "", **more: object) -> tuple[int | None, str]:
    """The close code, and what was said before it."""
    async with serving() as app, opened(app, headers, query, **more) as page:
        frames = await page.to_the_end()
        return page.code, frames[-1]["failure"]["code"] if frames else ""


async def test_our_own_page_comes_in_with_its_session(ann: User) -> None:
    headers = await elsewhere(login, ann)
    for scheme, origin in (("ws", OURS), (None, OURS), ("wss", OURS.replace("http", "https"))):
        async with serving() as app, opened(app, {**headers, "Origin": origin}, scheme=scheme) as page:
            assert set(await page.named("start")) == {"after", "head", "hash"}


async def test_nobody_comes_in_without_a_session(ann: User) -> None:
    key = await elsewhere(make_key, ann)
    for headers in ({}, {"Cookie": "sessionid=nonsense"}, key):
        assert await refused({"Origin": OURS, **headers}) == (4401, "NOT_AUTHENTICATED")


async def test_a_key_beside_a_session_is_not_looked_at(ann: User) -> None:
    headers = await elsewhere(login, ann)
    async with serving() as app, opened(app, {**headers, "X-API-Key": "nonsense"}) as page:
        assert set(await page.named("start")) == {"after", "head", "hash"}


async def test_it_needs_the_permission(ann: User) -> None:
    await elsewhere(take_the_permission, ann)
    assert await refused(await elsewhere(login, ann)) == (4403, "NOT_ALLOWED")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:9", "https://127.0.0.1:8000", "", "http://[", "ws://127.0.0.1:8000"],
)  # fmt: skip
async def test_a_page_of_another_site_may_not(ann: User, origin: str) -> None:
    headers = await elsewhere(login, ann)
    assert await refused({**headers, "Origin": origin}) == (4403, "NOT_ALLOWED")


async def test_who_does_not_say_its_origin_may_not(ann: User) -> None:
    headers = await elsewhere(login, ann)
    del headers["Origin"]
    assert await refused(headers) == (4403, "NOT_ALLOWED")


async def test_a_page_of_an_origin_that_is_trusted_may(ann: User, settings: object) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://desk.example"]  # type: ignore[attr-defined]
    headers = await elsewhere(login, ann)
    async with serving() as app, opened(app, {**headers, "Origin": "https://desk.example"}) as page:
        assert set(await page.named("start")) == {"after", "head", "hash"}


@pytest.mark.parametrize("host", ["evil.example", "", "a b"])
async def test_a_socket_meant_for_another_host_is_closed(ann: User, host: str) -> None:
    headers = await elsewhere(login, ann)
    assert await refused({**headers, "host": host, "Origin": f"http://{host}"}) == (4400, "HOST_UNKNOWN")


@pytest.mark.parametrize("path", ["/", "/live", "/live/x", "/api/events/stream"])
async def test_there_is_no_other_socket(ann: User, path: str) -> None:
    async with serving() as app, opened(app, await elsewhere(login, ann), path=path) as page:
        assert await page.to_the_end() == []
        assert not page.accepted


@pytest.mark.parametrize(
    "query",
    [
        "after_id=-1", "after_id=NaN", "after_id=", "after_id=1.0", "after_id=9223372036854775808",
        "after_id=" + "9" * 400, "after_id=%D9%A3", "after_id=1&after_id=2", "after=1", "=1",
        "&".join(f"a{n}=1" for n in range(50)),
    ],
)  # fmt: skip
async def test_a_place_that_is_none_is_refused(ann: User, query: str) -> None:
    code, said = await refused(await elsewhere(login, ann), query)
    assert (code, said in {"INVALID", "UNKNOWN_FIELD"}) == (4400, True)


async def test_who_has_no_login_is_told_that_before_anything_else(ann: User) -> None:
    assert (await refused({"Origin": OURS}, "after_id=-1"))[0] == 4401


async def test_a_person_has_so_many_sockets_and_streams_together(ann: User) -> None:
    headers = await elsewhere(login, ann)
    async with serving(per_person=2) as app:
        async with opened(app, headers) as one, opened(app, headers) as two:
            await one.named("start")
            await two.named("start")
            async with opened(app, headers) as third:
                assert (await third.to_the_end())[-1]["failure"]["code"] == "TOO_MANY_STREAMS"
                assert third.code == 4429
        async with opened(app, headers) as third:
            await third.named("start")


async def test_a_process_serves_so_many_and_no_more(ann: User) -> None:
    headers = await elsewhere(login, ann)
    async with serving(in_all=1) as app, opened(app, headers) as one:
        await one.named("start")
        async with opened(app, headers) as second:
            await second.to_the_end()
            assert second.code == 4429


@pytest.mark.parametrize("loss", [log_out, disable, take_the_permission, change_the_password])
async def test_a_login_that_ends_closes_its_sockets(ann: User, loss: object) -> None:
    async with serving() as app, opened(app, await elsewhere(login, ann)) as page:
        await page.named("start")
        await elsewhere(loss, ann)  # type: ignore[arg-type]
        await page.to_the_end()
        assert page.code == 4401


async def test_no_event_leaves_on_a_login_that_nobody_could_look_at(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the database is away; when it is back, the events come."""
    looks: list[object] = []

    def away(accesses: object) -> None:
        looks.append(accesses)
        raise OperationalError("away")

    headers, looking = await elsewhere(login, ann), doors.still_valid
    async with serving(recheck_s=0.05) as app, opened(app, headers) as page:
        start = (await page.named("start"))["after"]
        monkeypatch.setattr(doors, "still_valid", away)
        (socket,) = app._hall.guests
        await until(lambda: looks)  # the answer of a look that began before might still come
        socket.checked_at -= app._hall.rules.stale_s  # as long ago as that
        assert not socket._is_trusted()
        await elsewhere(write, 1)
        await until(lambda: app._hall.tailer.seq > start and not socket._bell.is_set())
        assert page.frames.empty()
        monkeypatch.setattr(doors, "still_valid", looking)
        assert await page.seqs(1) == [start + 1]


async def test_a_database_that_does_not_answer_is_told_and_the_page_comes_again(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*arguments: object) -> None:
        raise OperationalError("away")

    headers = await elsewhere(login, ann)
    monkeypatch.setattr(doors, "access_of", away)
    async with serving() as app, opened(app, headers) as page:
        (said,) = await page.to_the_end()
        assert (said["away"], said["failure"]["code"], page.code) == (True, "STORAGE", 4503)


@pytest.mark.parametrize(
    "text", ["", "x", "{}", "[]", "1", '{"ack": "1"}', '{"ack": 1.5}', '{"ack": true}', '{"ack": NaN}', "[" * 199,
             '{"ack": 1' + " " * 500 + "}"],
)  # fmt: skip
async def test_what_is_no_acknowledgement_closes_the_socket(ann: User, text: str) -> None:
    async with serving() as app, opened(app, await elsewhere(login, ann)) as page:
        await page.named("start")
        page.say(text)
        assert (await page.to_the_end())[-1]["failure"]["code"] == "MALFORMED"
        assert page.code == 4400


async def test_bytes_are_no_acknowledgement_either(ann: User) -> None:
    async with serving() as app, opened(app, await elsewhere(login, ann)) as page:
        await page.named("start")
        page._incoming.put_nowait({"type": "websocket.receive", "bytes": b'{"ack": 1}'})
        await page.to_the_end()
        assert page.code == 4400


async def test_who_talks_without_end_is_closed(ann: User) -> None:
    async with serving(heard=20, keep_alive_s=60.0) as app, opened(app, await elsewhere(login, ann)) as page:
        await page.named("start")
        for _ in range(50):
            page.say('{"ack": 0}')
        await page.to_the_end()
        assert page.code == 4429


async def test_an_acknowledgement_of_what_was_never_sent_gains_nothing(ann: User) -> None:
    async with serving() as app, opened(app, await elsewhere(login, ann), acks=False) as page:
        start = (await page.named("start"))["after"]
        (socket,) = app._hall.guests
        for number in (-5, 0, 2**70):
            page.say(f'{{"ack": {number}}}')
        await elsewhere(write, 1)
        assert await page.seqs(1) == [start + 1]
        assert (socket._acked, socket._at, len(socket._owed)) == (start, start + 1, 1)


async def test_streams_count_against_the_same_bound(ann: User) -> None:
    """One hall serves both, as in the web process."""
    headers = await elsewhere(login, ann)
    async with streaming(per_person=1) as app, calling(app, headers) as caller:
        from autotrader.core.live.socket_app import PageSockets
        from tests.sockets import shown

        assert caller.status == 200
        page = Page(PageSockets(shown, app._hall), headers)
        page.begin()
        await page.to_the_end()
        assert page.code == 4429
