"""What the stores of accounts must do, in memory and in PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from eventually import eventually
from fakes.identity import (
    FakeAccounts,
    FakeApiKeys,
    FakeAuditLog,
    FakeResets,
    FakeSessions,
    FakeThrottle,
    FakeUsers,
)
from gonets.adapters.postgres import audit
from gonets.adapters.postgres.audit import PostgresAudit
from gonets.adapters.postgres.identity import (
    PostgresApiKeys,
    PostgresResets,
    PostgresSessions,
    PostgresUsers,
)
from gonets.adapters.postgres.throttle import PostgresThrottle
from gonets.core.identity.model import Principal, Reused, Role, Rotated, Scope
from gonets.core.identity.ports import ApiKeys, AuditLog, Resets, Sessions, Throttle, Users
from gonets.core.identity.throttle import ThrottlePolicy
from gonets.core.shared.errors import Conflict, Invalid

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Stores:
    users: Users
    resets: Resets
    sessions: Sessions
    keys: ApiKeys
    throttle: Throttle
    audit: AuditLog
    at_one_moment: Callable[..., Awaitable[list[Any]]]
    """Runs coroutines of which none ends before all have begun; gives what they returned or raised."""


async def _gather(*calls):
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.fixture
def in_memory():
    accounts = FakeAccounts()
    return Stores(
        FakeUsers(accounts),
        FakeResets(accounts),
        FakeSessions(accounts),
        FakeApiKeys(accounts),
        FakeThrottle(accounts),
        FakeAuditLog(accounts),
        _gather,
    )


@pytest.fixture
async def in_postgres(servers, pool):
    async def at_one_moment(*calls):
        """Writers and those who lock rows are held at a gate until all of them are there; readers pass."""
        gate = await asyncpg.connect(servers.database.dsn)
        try:
            async with gate.transaction():
                await gate.execute("LOCK TABLE users, refresh_token, password_reset, login_throttle IN EXCLUSIVE MODE")
                ended = asyncio.gather(*calls, return_exceptions=True)
                waiting = """SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                             WHERE NOT l.granted AND d.datname = current_database()"""

                async def all_wait():
                    return await gate.fetchval(waiting) == len(calls)

                await eventually(all_wait, "all of them wait", timeout=20)
            return await ended
        finally:
            await gate.close()

    return Stores(
        PostgresUsers(pool),
        PostgresResets(pool),
        PostgresSessions(pool),
        PostgresApiKeys(pool),
        PostgresThrottle(pool),
        PostgresAudit(pool),
        at_one_moment,
    )


@pytest.fixture(params=["in_memory", "in_postgres"])
def stores(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
async def user(stores):
    """An admin: the first."""
    return await stores.users.add("Anna@Example.com", "hash", None)


# --- users ---


async def test_a_user_is_found_as_they_were_added(stores, user):
    assert (user.email, user.role, user.disabled_at) == ("Anna@Example.com", Role.ADMIN, None)
    assert await stores.users.get(user.id) == user
    assert await stores.users.get(user.id + 1000) is None


@pytest.mark.parametrize("email", ["anna@example.com", "ANNA@EXAMPLE.COM"])
async def test_an_address_is_one_in_small_letters_and_capitals(stores, user, email):
    account = await stores.users.account(email)
    assert (account.user, account.password_hash) == (user, "hash")
    with pytest.raises(Conflict):
        await stores.users.add(email, "other", None)


async def test_capitals_of_every_alphabet_are_the_same(stores):
    added = await stores.users.add("Почта@Пример.рф", "hash", None)
    assert (await stores.users.account("почта@пример.РФ")).user == added
    assert await stores.users.account("nobody@example.com") is None


async def test_of_many_at_one_moment_exactly_one_is_admin(stores):
    made = await stores.at_one_moment(*(stores.users.add(f"u{n}@example.com", "hash", None) for n in range(8)))
    assert sorted(user.role for user in made) == [Role.ADMIN] + [Role.MEMBER] * 7
    assert (await stores.users.add("late@example.com", "hash", None)).role is Role.MEMBER


async def test_of_many_with_one_address_exactly_one_is_made(stores):
    made = await stores.at_one_moment(*(stores.users.add("u@example.com", "hash", None) for _ in range(5)))
    assert sorted(type(one).__name__ for one in made) == ["Conflict"] * 4 + ["User"]


async def test_a_role_can_be_given(stores):
    assert (await stores.users.add("m@example.com", "hash", Role.MEMBER)).role is Role.MEMBER
    assert (await stores.users.add("a@example.com", "hash", Role.ADMIN)).role is Role.ADMIN


async def test_users_are_listed_latest_first_in_pages(stores):
    made = [await stores.users.add(f"u{n}@example.com", "hash", None) for n in range(5)]
    first = await stores.users.page(cursor=None, limit=3)
    second = await stores.users.page(cursor=first.next_cursor, limit=3)
    assert [*first.users, *second.users] == made[::-1]
    assert second.next_cursor is None
    with pytest.raises(Invalid):
        await stores.users.page(cursor="nonsense", limit=3)


async def test_what_is_not_said_of_a_change_stays(stores, user):
    other = await stores.users.add("b@example.com", "hash", None)
    assert (await stores.users.change(other.id, role=Role.ADMIN, disabled=None, now=NOW)).role is Role.ADMIN
    changed = await stores.users.change(other.id, role=None, disabled=True, now=NOW)
    assert (changed.role, changed.disabled_at) == (Role.ADMIN, NOW)
    again = await stores.users.change(other.id, role=None, disabled=True, now=NOW + HOUR)
    assert again.disabled_at == NOW, "since the first time"
    assert (await stores.users.change(other.id, role=None, disabled=False, now=NOW)).disabled_at is None
    assert await stores.users.change(other.id + 1000, role=Role.ADMIN, disabled=None, now=NOW) is None


@pytest.mark.parametrize("change", [{"role": Role.MEMBER, "disabled": None}, {"role": None, "disabled": True}])
async def test_somebody_remains_admin(stores, user, change):
    await stores.users.add("member@example.com", "hash", None)
    with pytest.raises(Conflict):
        await stores.users.change(user.id, **change, now=NOW)
    assert await stores.users.get(user.id) == user
    others = [await stores.users.add(f"u{n}@example.com", "hash", Role.ADMIN) for n in range(7)]
    ended = await stores.at_one_moment(*(stores.users.change(one.id, **change, now=NOW) for one in [user, *others]))
    assert sorted(type(one).__name__ for one in ended) == ["Conflict"] + ["User"] * 7, "all step down at one moment"


async def test_a_new_password_ends_all_sessions_but_the_one_that_is_kept_and_spends_resets(stores, user):
    ours = await stores.sessions.open(user.id, b"a", NOW + HOUR, NOW)
    other = await stores.sessions.open(user.id, b"b", NOW + HOUR, NOW)
    await stores.resets.add(user.id, b"reset", NOW + HOUR)
    await stores.users.set_password(user.id, "new", keep=ours, now=NOW)
    assert (await stores.users.account(user.email)).password_hash == "new"
    assert await stores.sessions.principal(ours, NOW) is not None
    assert await stores.sessions.principal(other, NOW) is None
    assert not await stores.resets.known(b"reset", NOW)


async def test_a_hash_is_renewed_unless_the_password_was_changed_meanwhile(stores, user):
    await stores.users.rehash(user.id, "another", "wrong")
    assert (await stores.users.account(user.email)).password_hash == "hash"
    await stores.users.rehash(user.id, "hash", "slower")
    assert (await stores.users.account(user.email)).password_hash == "slower"


# --- resets ---


async def test_a_reset_works_once_and_ends_all_sessions(stores, user):
    session = await stores.sessions.open(user.id, b"a", NOW + HOUR, NOW)
    await stores.resets.add(user.id, b"reset", NOW + HOUR)
    assert await stores.resets.known(b"reset", NOW)
    used = await stores.at_one_moment(*(stores.resets.use(b"reset", f"new{n}", NOW) for n in range(4)))
    assert [one for one in used if one] == [user]
    assert (await stores.users.account(user.email)).password_hash.startswith("new")
    assert await stores.sessions.principal(session, NOW) is None
    assert await stores.resets.use(b"reset", "newer", NOW) is None


async def test_a_later_reset_takes_the_place_of_an_earlier_one(stores, user):
    await stores.resets.add(user.id, b"early", NOW + HOUR)
    await stores.resets.add(user.id, b"late", NOW + HOUR)
    assert await stores.resets.use(b"early", "new", NOW) is None
    assert await stores.resets.use(b"late", "new", NOW) == user


async def test_a_reset_ends_with_its_time_and_with_its_user(stores, user):
    member = await stores.users.add("b@example.com", "hash", None)
    await stores.resets.add(member.id, b"reset", NOW + HOUR)
    assert await stores.resets.use(b"reset", "new", NOW + HOUR) is None
    await stores.users.change(member.id, role=None, disabled=True, now=NOW)
    assert await stores.resets.use(b"reset", "new", NOW) is None
    await stores.resets.add(member.id, b"late", NOW + HOUR)
    assert await stores.resets.use(b"late", "new", NOW) is None
    assert (await stores.users.account(member.email)).password_hash == "hash"


# --- sessions ---


async def test_a_session_knows_its_user_with_the_role_of_now(stores, user):
    member = await stores.users.add("b@example.com", "hash", None)
    session = await stores.sessions.open(member.id, b"a", NOW + HOUR, NOW)
    assert await stores.sessions.principal(session, NOW) == Principal(member.id, Role.MEMBER, session_id=session)
    await stores.users.change(member.id, role=Role.ADMIN, disabled=None, now=NOW)
    assert (await stores.sessions.principal(session, NOW)).role is Role.ADMIN
    assert await stores.sessions.principal(session + 1000, NOW) is None


async def test_a_session_is_over_by_time_by_logout_and_with_its_user(stores, user):
    member = await stores.users.add("b@example.com", "hash", None)
    late = await stores.sessions.open(member.id, b"a", NOW + HOUR, NOW)
    out = await stores.sessions.open(member.id, b"b", NOW + HOUR, NOW)
    by_token = await stores.sessions.open(member.id, b"c", NOW + HOUR, NOW)
    assert await stores.sessions.principal(late, NOW + HOUR) is None
    await stores.sessions.end(out, NOW)
    assert await stores.sessions.principal(out, NOW) is None
    assert await stores.sessions.end_by_token(b"c", NOW) == member.id
    assert await stores.sessions.end_by_token(b"unknown", NOW) is None
    assert await stores.sessions.principal(by_token, NOW) is None
    assert await stores.sessions.principal(late, NOW) is not None
    await stores.users.change(member.id, role=None, disabled=True, now=NOW)
    assert await stores.sessions.principal(late, NOW) is None
    await stores.users.change(member.id, role=None, disabled=False, now=NOW)
    assert await stores.sessions.principal(late, NOW) is None, "enabling does not bring sessions back"


async def test_a_refresh_token_is_used_once_and_lengthens_the_session(stores, user):
    session = await stores.sessions.open(user.id, b"a", NOW + HOUR, NOW)
    assert await stores.sessions.rotate(b"a", b"b", NOW, NOW + 2 * HOUR) == Rotated(user, session)
    assert await stores.sessions.principal(session, NOW + HOUR) is not None
    assert await stores.sessions.rotate(b"b", b"c", NOW + HOUR, NOW + 3 * HOUR) == Rotated(user, session)


async def test_a_refresh_token_used_twice_ends_the_session_and_all_its_tokens(stores, user):
    session = await stores.sessions.open(user.id, b"a", NOW + HOUR, NOW)
    other = await stores.sessions.open(user.id, b"z", NOW + HOUR, NOW)
    await stores.sessions.rotate(b"a", b"b", NOW, NOW + HOUR)
    await stores.sessions.rotate(b"b", b"c", NOW, NOW + HOUR)
    assert await stores.sessions.rotate(b"a", b"d", NOW, NOW + HOUR) == Reused(user.id, session)
    assert await stores.sessions.rotate(b"c", b"e", NOW, NOW + HOUR) is None
    assert await stores.sessions.principal(session, NOW) is None
    assert await stores.sessions.principal(other, NOW) is not None, "another session is none of its business"


async def test_of_many_who_refresh_at_one_moment_one_succeeds_and_the_session_is_over(stores, user):
    session = await stores.sessions.open(user.id, b"a", NOW + HOUR, NOW)
    found = await stores.at_one_moment(
        *(stores.sessions.rotate(b"a", bytes([65 + n]), NOW, NOW + HOUR) for n in range(6))
    )
    assert sorted(type(one).__name__ for one in found) == ["Reused"] * 5 + ["Rotated"]
    assert await stores.sessions.principal(session, NOW) is None


async def test_what_is_over_is_not_refreshed(stores, user):
    member = await stores.users.add("b@example.com", "hash", None)
    await stores.sessions.open(member.id, b"late", NOW + HOUR, NOW)
    out = await stores.sessions.open(member.id, b"out", NOW + HOUR, NOW)
    await stores.sessions.end(out, NOW)
    assert await stores.sessions.rotate(b"late", b"x", NOW + HOUR, NOW + 2 * HOUR) is None
    assert await stores.sessions.rotate(b"out", b"x", NOW, NOW + HOUR) is None
    assert await stores.sessions.rotate(b"unknown", b"x", NOW, NOW + HOUR) is None


# --- API keys ---


async def test_a_key_knows_its_user_and_its_scopes_until_it_is_revoked(stores, user):
    scopes = frozenset({Scope.TASKS, Scope.CONTACTS})
    key = await stores.keys.add(user.id, "shop", b"digest", "wxyz", scopes)
    assert (key.name, key.hint, key.scopes, key.last_used_at, key.revoked_at) == ("shop", "wxyz", scopes, None, None)
    assert await stores.keys.principal(b"digest", NOW) == Principal(user.id, Role.ADMIN, scopes, api_key_id=key.id)
    assert await stores.keys.principal(b"another", NOW) is None
    assert await stores.keys.revoke(user.id, key.id, NOW)
    assert await stores.keys.principal(b"digest", NOW) is None
    assert await stores.keys.revoke(user.id, key.id, NOW + HOUR), "revoked is revoked"
    assert (await stores.keys.get(user.id, key.id)).revoked_at == NOW


async def test_a_key_is_nobody_elses(stores, user):
    other = await stores.users.add("b@example.com", "hash", None)
    key = await stores.keys.add(user.id, "shop", b"digest", "wxyz", frozenset({Scope.TASKS}))
    assert await stores.keys.get(other.id, key.id) is None
    assert not await stores.keys.revoke(other.id, key.id, NOW)
    assert (await stores.keys.page(other.id, cursor=None, limit=10)).keys == []
    assert await stores.keys.principal(b"digest", NOW) is not None


async def test_a_disabled_users_key_works_again_when_they_do(stores, user):
    other = await stores.users.add("b@example.com", "hash", None)
    await stores.keys.add(other.id, "shop", b"digest", "wxyz", frozenset({Scope.TASKS}))
    await stores.users.change(other.id, role=None, disabled=True, now=NOW)
    assert await stores.keys.principal(b"digest", NOW) is None
    await stores.users.change(other.id, role=None, disabled=False, now=NOW)
    assert await stores.keys.principal(b"digest", NOW) is not None


async def test_the_last_use_is_noted_about_once_a_minute(stores, user):
    key = await stores.keys.add(user.id, "shop", b"digest", "wxyz", frozenset({Scope.TASKS}))
    for seconds, noted in ((0, 0), (30, 0), (90, 90)):
        await stores.keys.principal(b"digest", NOW + timedelta(seconds=seconds))
        assert (await stores.keys.get(user.id, key.id)).last_used_at == NOW + timedelta(seconds=noted)


async def test_keys_are_listed_latest_first_in_pages_and_counted_until_revoked(stores, user):
    made = [await stores.keys.add(user.id, f"k{n}", bytes([n]), "wxyz", frozenset({Scope.TASKS})) for n in range(5)]
    first = await stores.keys.page(user.id, cursor=None, limit=3)
    second = await stores.keys.page(user.id, cursor=first.next_cursor, limit=3)
    assert [*first.keys, *second.keys] == made[::-1]
    assert await stores.keys.count(user.id) == 5
    await stores.keys.revoke(user.id, made[0].id, NOW)
    assert await stores.keys.count(user.id) == 4


# --- throttle ---

POLICY = ThrottlePolicy(free=3, first_pause=timedelta(seconds=10))


async def test_after_some_failures_the_door_is_closed_for_longer_each_time(stores):
    async def attempt(seconds):
        return await stores.throttle.attempt({"a": POLICY}, NOW + timedelta(seconds=seconds))

    assert [await attempt(0), await attempt(0), await attempt(0)] == [None] * 3
    assert await attempt(1) == timedelta(seconds=9)
    assert await attempt(10) is None
    assert await attempt(11) == timedelta(seconds=19), "what was refused counted as no try"


async def test_one_closed_door_counts_for_no_other(stores):
    for _ in range(3):
        await stores.throttle.attempt({"a": POLICY, "x": POLICY}, NOW)
    assert await stores.throttle.attempt({"a": POLICY, "b": POLICY}, NOW) == timedelta(seconds=10)
    for _ in range(3):
        assert await stores.throttle.attempt({"b": POLICY}, NOW) is None


async def test_of_many_tries_at_one_moment_each_is_counted(stores):
    found = await stores.at_one_moment(*(stores.throttle.attempt({"b": POLICY, "a": POLICY}, NOW) for _ in range(8)))
    assert found.count(None) == 3


async def test_a_success_forgets_one_tally_and_gives_the_others_back_theirs(stores):
    for _ in range(3):
        await stores.throttle.attempt({"account": POLICY, "address": POLICY}, NOW)
    await stores.throttle.succeeded("account", ["address"], NOW)
    assert await stores.throttle.attempt({"address": POLICY}, NOW) is None
    assert await stores.throttle.attempt({"address": POLICY}, NOW) == timedelta(seconds=10)
    assert [await stores.throttle.attempt({"account": POLICY}, NOW) for _ in range(3)] == [None] * 3


# --- audit ---


async def test_the_log_says_who_did_what_latest_first(stores, user):
    program = Principal(user.id, Role.ADMIN, frozenset({Scope.CONTACTS}), api_key_id=7)
    await stores.audit.note(program, "created", "contact", 5, {"имя": "Анна\0"})
    await stores.audit.note(None, "created", "user", user.id)
    found = (await stores.audit.page(object=None, user_id=None, cursor=None, limit=10)).entries
    assert [(one.user_id, one.api_key_id, one.action, one.object, one.object_id) for one in found] == [
        (None, None, "created", "user", user.id),
        (user.id, 7, "created", "contact", 5),
    ]
    assert found[1].detail["имя"].startswith("Анна")


@pytest.mark.parametrize("farthest", [1, 2, 10_000])
async def test_a_page_of_the_log_goes_no_farther_than_it_may(stores, user, farthest, monkeypatch):
    monkeypatch.setattr(audit, "FARTHEST", farthest)
    for number in range(9):
        await stores.audit.note(None, "created", "user" if number in (0, 1, 5) else "contact", number)
    found, cursor, pages = [], None, 0
    while cursor or not pages:
        page = await stores.audit.page(object="user", user_id=None, cursor=cursor, limit=2)
        assert len(page.entries) <= 2
        found += [entry.object_id for entry in page.entries]
        cursor, pages = page.next_cursor, pages + 1
    assert found == [5, 1, 0]


async def test_many_objects_are_noted_in_one_step_with_an_entry_each(stores, user):
    anna = Principal(user.id, Role.MEMBER, api_key_id=7)
    await stores.audit.note_each(anna, "released", "notification", [8, 5, 6], {"by": "Анна"})
    await stores.audit.note_each(anna, "released", "notification", [], {})
    found = (await stores.audit.page(object=None, user_id=None, cursor=None, limit=10)).entries
    assert [(one.user_id, one.api_key_id, one.action, one.object, one.object_id, one.detail) for one in found] == [
        (user.id, 7, "released", "notification", number, {"by": "Анна"}) for number in (6, 5, 8)
    ]


async def test_the_log_is_narrowed_and_paged(stores, user):
    for number in range(5):
        await stores.audit.note(Principal(number % 2 + 1, Role.MEMBER), "created", "contact", number)
    await stores.audit.note(None, "created", "user", 9)

    async def ids(**conditions):
        conditions = {"object": None, "user_id": None, "cursor": None, "limit": 10} | conditions
        page = await stores.audit.page(**conditions)
        return [entry.object_id for entry in page.entries], page.next_cursor

    assert await ids(object="user") == ([9], None)
    assert await ids(user_id=2) == ([3, 1], None)
    first, cursor = await ids(object="contact", limit=3)
    assert (first, await ids(object="contact", limit=3, cursor=cursor)) == ([4, 3, 2], ([1, 0], None))
