"""Signing in: what the use cases decide, with a clock that stands still."""

from datetime import timedelta

import pytest

from fakes import Clock
from fakes.identity import (
    FakeAccounts,
    FakeApiKeys,
    FakeAuditLog,
    FakePasswords,
    FakeResets,
    FakeSessions,
    FakeThrottle,
    FakeUsers,
)
from gonets.core.identity.administration import MOST_KEYS, ManageApiKeys, ManageUsers
from gonets.core.identity.model import Access, Role, Scope, email_key, password
from gonets.core.identity.standings import Standings
from gonets.core.identity.throttle import ACCOUNT, ADDRESS, Tally, ThrottlePolicy, attempt
from gonets.core.identity.use_cases import Authenticate, OwnAccount, SessionPolicy, SignIn
from gonets.core.shared.errors import Conflict, Forbidden, Invalid, NotFound, Throttled, Unauthenticated

EMAIL, PASSWORD = "anna@example.com", "correct horse"
HERE = "1.2.3.4"


class PlainTokens:
    """Implements AccessTokens, unsigned."""

    def __init__(self):
        self.issued = {}

    def issue(self, access):
        self.issued[token := f"access{len(self.issued)}"] = access
        return token

    def read(self, token):
        return self.issued.get(token)


class House:
    """Everything, on one clock."""

    def __init__(self, **policy):
        self.clock, self.accounts = Clock(), FakeAccounts()
        self.users, self.sessions = FakeUsers(self.accounts), FakeSessions(self.accounts)
        self.passwords, self.audit, self.tokens = FakePasswords(), FakeAuditLog(self.accounts), PlainTokens()
        keys, resets, throttle = FakeApiKeys(self.accounts), FakeResets(self.accounts), FakeThrottle(self.accounts)
        standings = Standings()
        self.authenticate = Authenticate(self.sessions, keys, self.tokens, standings, self.now)
        # Another process, that learns of a change only from the database.
        self.elsewhere = Authenticate(self.sessions, keys, self.tokens, Standings(), self.now)
        self.sign_in = SignIn(
            self.users,
            self.sessions,
            self.passwords,
            self.tokens,
            throttle,
            self.audit,
            standings,
            SessionPolicy(**policy),
            self.now,
        )
        self.own = OwnAccount(self.users, resets, self.passwords, throttle, self.audit, standings, self.now)
        self.manage = ManageUsers(self.users, resets, self.passwords, self.audit, standings, self.now)
        self.keys = ManageApiKeys(keys, self.audit, standings, self.now)

    def now(self):
        return self.clock.now

    def pass_time(self, **time):
        self.clock.advance(timedelta(**time))

    async def wrong(self, count=1, *, email=EMAIL, address="1.2.3.4"):
        for _ in range(count):
            with pytest.raises(Unauthenticated):
                await self.sign_in.log_in(email, "wrong", address)


@pytest.fixture
def house():
    return House()


@pytest.fixture
async def anna(house):
    """Signed up; admin, as the first."""
    return await house.sign_in.sign_up(EMAIL, PASSWORD, HERE)


# --- access tokens ---


async def test_an_access_token_is_good_until_its_time(house, anna):
    principal = await house.authenticate(anna.access_token)
    assert (principal.user_id, principal.role, principal.scopes) == (anna.user.id, Role.ADMIN, frozenset(Scope))
    house.pass_time(minutes=14, seconds=59)
    await house.authenticate(anna.access_token)
    house.pass_time(seconds=1)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.authenticate(anna.access_token)


async def test_lifetimes_are_settings():
    house = House(access_lifetime=timedelta(minutes=1), refresh_lifetime=timedelta(hours=1))
    anna = await house.sign_in.sign_up(EMAIL, PASSWORD, HERE)
    house.pass_time(minutes=1)
    with pytest.raises(Unauthenticated):
        await house.authenticate(anna.access_token)
    fresh = await house.sign_in.refresh(anna.refresh_token)
    house.pass_time(hours=1)
    with pytest.raises(Unauthenticated):
        await house.sign_in.refresh(fresh.refresh_token)


async def test_a_token_of_somebody_else_is_refused(house):
    with pytest.raises(Unauthenticated):
        await house.authenticate("forged")
    with pytest.raises(Unauthenticated):
        await house.authenticate(house.tokens.issue(Access(1, 99, house.now() + timedelta(hours=1))))


async def test_another_process_learns_of_a_logout_within_a_second_and_this_one_at_once(house, anna):
    principal = await house.authenticate(anna.access_token)
    await house.elsewhere(anna.access_token)
    await house.sign_in.log_out(principal, None)
    with pytest.raises(Unauthenticated):
        await house.authenticate(anna.access_token)
    house.pass_time(seconds=1)
    with pytest.raises(Unauthenticated):
        await house.elsewhere(anna.access_token)


async def test_a_disabled_users_token_and_key_stop_at_once(house, anna):
    bob = await house.sign_in.sign_up("bob@example.com", PASSWORD, HERE)
    principal = await house.authenticate(bob.access_token)
    _, key = await house.keys.create(principal, "shop", [Scope.TASKS])
    await house.authenticate(key)
    await house.manage.change(None, bob.user.id, disabled=True)
    for credential in (bob.access_token, key):
        with pytest.raises(Unauthenticated):
            await house.authenticate(credential)
    with pytest.raises(Unauthenticated):
        await house.sign_in.refresh(bob.refresh_token)
    with pytest.raises(Forbidden):
        await house.sign_in.log_in("bob@example.com", PASSWORD, "1.2.3.4")


async def test_a_new_role_counts_at_once(house, anna):
    bob = await house.sign_in.sign_up("bob@example.com", PASSWORD, HERE)
    assert (await house.authenticate(bob.access_token)).role is Role.MEMBER
    await house.manage.change(None, bob.user.id, role=Role.ADMIN)
    assert (await house.authenticate(bob.access_token)).role is Role.ADMIN


def test_what_is_remembered_is_bounded(house, monkeypatch):
    monkeypatch.setattr("gonets.core.identity.standings._MOST", 3)
    standings = Standings()
    for number in range(10):
        standings.put(number, None, house.now())
    assert len(standings._known) <= 3


# --- sign-up ---


async def test_closed_sign_up_is_closed_for_everybody_and_costs_no_hash():
    house = House(sign_up_open=False)
    with pytest.raises(Forbidden):
        await house.sign_in.sign_up(EMAIL, PASSWORD, HERE)
    assert house.accounts.users == {}
    admin = await house.manage.create(None, EMAIL, PASSWORD, Role.ADMIN)
    assert (await house.sign_in.log_in(EMAIL, PASSWORD, "1.2.3.4")).user == admin


@pytest.mark.parametrize(
    ("email", "text", "field"),
    [
        ("anna", PASSWORD, "email"),
        (EMAIL, "x" * 7, "password"),
        (EMAIL, "x" * 257, "password"),
        (EMAIL, "", "password"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(house, email, text, field):
    with pytest.raises(Invalid) as caught:
        await house.sign_in.sign_up(email, text, HERE)
    assert caught.value.field == field


def test_a_password_is_the_same_from_every_keyboard():
    assert password("password", "e\u0301" * 8) == "\u00e9" * 8
    assert email_key("ANNA@Example.com") == EMAIL


# --- login ---


async def test_the_answer_to_a_wrong_address_and_to_a_wrong_password_is_the_same_and_both_are_compared(house, anna):
    answers = []
    for email in (EMAIL, "nobody@example.com"):
        with pytest.raises(Unauthenticated) as caught:
            await house.sign_in.log_in(email, "wrong", "1.2.3.4")
        answers.append(caught.value.reason)
    assert answers[0] == answers[1]
    assert house.passwords.compared == ["hash:correct horse", None]


async def test_after_five_wrong_passwords_the_right_one_waits_too(house, anna):
    await house.wrong(5)
    with pytest.raises(Throttled) as caught:
        await house.sign_in.log_in("ANNA@example.com", PASSWORD, "9.9.9.9")
    assert caught.value.retry_after == 10
    house.pass_time(seconds=10)
    await house.sign_in.log_in(EMAIL, PASSWORD, "9.9.9.9")
    await house.wrong(4)


async def test_one_account_s_throttle_is_not_another_s(house, anna):
    await house.sign_in.sign_up("bob@example.com", PASSWORD, HERE)
    await house.wrong(5)
    await house.sign_in.log_in("bob@example.com", PASSWORD, "1.2.3.4")


async def test_one_address_cannot_try_many_accounts(house, anna):
    for number in range(ADDRESS.free):
        await house.wrong(email=f"u{number}@example.com")
    with pytest.raises(Throttled):
        await house.sign_in.log_in(EMAIL, PASSWORD, "1.2.3.4")
    await house.sign_in.log_in(EMAIL, PASSWORD, "5.6.7.8")


async def test_one_address_cannot_make_or_ask_for_accounts_without_end(house, anna):
    for _ in range(ADDRESS.free - 1):
        with pytest.raises(Conflict):
            await house.sign_in.sign_up(EMAIL, PASSWORD, HERE)
    with pytest.raises(Throttled) as caught:
        await house.sign_in.sign_up("bob@example.com", PASSWORD, HERE)
    assert (caught.value.reason, caught.value.retry_after) == ("too many accounts from here: wait a while", 10)
    await house.sign_in.log_in(EMAIL, PASSWORD, HERE)
    await house.sign_in.sign_up("bob@example.com", PASSWORD, "5.6.7.8")
    house.pass_time(seconds=10)
    await house.sign_in.sign_up("carl@example.com", PASSWORD, HERE)


async def test_what_is_no_account_at_all_counts_for_nothing(house):
    for _ in range(ADDRESS.free + 1):
        with pytest.raises(Invalid):
            await house.sign_in.sign_up(EMAIL, "short", HERE)


async def test_a_hash_that_is_less_slow_than_wanted_is_renewed_at_login(house, anna):
    house.passwords.prefix = "slower:"
    await house.sign_in.log_in(EMAIL, PASSWORD, "1.2.3.4")
    assert house.accounts.hashes[anna.user.id] == f"slower:{PASSWORD}"


def test_pauses_double_up_to_the_longest_and_old_tallies_are_forgotten(house):
    policy = ThrottlePolicy(free=2, first_pause=timedelta(seconds=10), longest_pause=timedelta(seconds=60))
    tally, pauses = None, []
    now = house.now()
    for _ in range(7):
        tally = attempt(tally, policy, now)
        pauses.append((tally.closed_until - now).total_seconds())
        now = tally.closed_until
    assert pauses == [0, 10, 20, 40, 60, 60, 60]
    assert attempt(tally, policy, tally.last_at + policy.forget_after).failures == 1
    assert attempt(Tally(10**9, now, now), policy, now).closed_until - now == policy.longest_pause
    assert ACCOUNT.free < ADDRESS.free


# --- refresh and logout ---


async def test_refreshing_gives_a_new_pair_and_keeps_the_session(house, anna):
    fresh = await house.sign_in.refresh(anna.refresh_token)
    assert fresh.user == anna.user
    assert {fresh.access_token, fresh.refresh_token}.isdisjoint({anna.access_token, anna.refresh_token})
    first, second = [await house.authenticate(one.access_token) for one in (anna, fresh)]
    assert first.session_id == second.session_id


async def test_a_refresh_token_used_twice_ends_its_session_access_tokens_included(house, anna):
    fresh = await house.sign_in.refresh(anna.refresh_token)
    await house.authenticate(fresh.access_token)
    with pytest.raises(Unauthenticated, match="used before"):
        await house.sign_in.refresh(anna.refresh_token)
    for credential in (anna.access_token, fresh.access_token):
        with pytest.raises(Unauthenticated):
            await house.authenticate(credential)
    with pytest.raises(Unauthenticated):
        await house.sign_in.refresh(fresh.refresh_token)


async def test_tokens_and_secrets_are_kept_as_digests_only(house, anna):
    principal = await house.authenticate(anna.access_token)
    _, key = await house.keys.create(principal, "shop", [Scope.TASKS])
    reset, _ = await house.manage.issue_reset(None, anna.user.id)
    kept = repr(house.accounts)
    assert not [secret for secret in (anna.refresh_token, key, reset) if secret in kept]


async def test_logging_out_by_either_token_ends_the_session_and_no_other(house, anna):
    other = await house.sign_in.log_in(EMAIL, PASSWORD, "1.2.3.4")
    await house.sign_in.log_out(None, anna.refresh_token)
    with pytest.raises(Unauthenticated):
        await house.authenticate(anna.access_token)
    await house.authenticate(other.access_token)
    with pytest.raises(Unauthenticated):
        await house.sign_in.log_out(None, "unknown")
    with pytest.raises(Unauthenticated):
        await house.sign_in.log_out(None, None)


# --- passwords ---


async def test_a_changed_password_ends_all_other_sessions(house, anna):
    here, there = await house.sign_in.log_in(EMAIL, PASSWORD, "1.2.3.4"), anna
    principal = await house.authenticate(here.access_token)
    await house.authenticate(there.access_token)
    await house.own.change_password(principal, PASSWORD, "battery staple")
    await house.authenticate(here.access_token)
    with pytest.raises(Unauthenticated):
        await house.authenticate(there.access_token)
    await house.wrong()
    with pytest.raises(Unauthenticated):
        await house.sign_in.log_in(EMAIL, PASSWORD, "1.2.3.4")
    await house.sign_in.log_in(EMAIL, "battery staple", "1.2.3.4")


async def test_the_current_password_cannot_be_guessed_with_a_stolen_token(house, anna):
    principal = await house.authenticate(anna.access_token)
    for _ in range(5):
        with pytest.raises(Invalid) as caught:
            await house.own.change_password(principal, "wrong", "battery staple")
        assert caught.value.field == "currentPassword"
    with pytest.raises(Throttled):
        await house.own.change_password(principal, PASSWORD, "battery staple")
    await house.sign_in.log_in(EMAIL, PASSWORD, "1.2.3.4")


async def test_a_reset_sets_the_password_once_within_a_day_and_opens_a_closed_door(house, anna):
    token, expires_at = await house.manage.issue_reset(None, anna.user.id)
    assert expires_at - house.now() == timedelta(days=1)
    await house.wrong(5)
    with pytest.raises(Invalid) as short:
        await house.own.reset_password(token, "short")
    assert short.value.field == "newPassword", "the token is not spent by it"
    await house.own.reset_password(token, "battery staple")
    with pytest.raises(Invalid) as spent:
        await house.own.reset_password(token, "battery staple")
    assert spent.value.field == "token"
    await house.sign_in.log_in(EMAIL, "battery staple", "1.2.3.4")
    with pytest.raises(Unauthenticated):
        await house.authenticate(anna.access_token)
    late, _ = await house.manage.issue_reset(None, anna.user.id)
    house.pass_time(days=1)
    with pytest.raises(Invalid):
        await house.own.reset_password(late, "battery staple")


async def test_an_invented_reset_token_costs_no_hash(house, anna, monkeypatch):
    monkeypatch.setattr(house.passwords, "hash", None)
    with pytest.raises(Invalid):
        await house.own.reset_password("invented", "battery staple")


# --- administration ---


async def test_who_is_disabled_gets_no_reset_and_who_is_absent_nothing(house, anna):
    bob = await house.sign_in.sign_up("bob@example.com", PASSWORD, HERE)
    await house.manage.change(None, bob.user.id, disabled=True)
    with pytest.raises(Conflict):
        await house.manage.issue_reset(None, bob.user.id)
    for absent in (house.manage.get(999), house.manage.change(None, 999, disabled=True), house.manage.find("x@y.ru")):
        with pytest.raises(NotFound):
            await absent


async def test_api_keys_are_revoked_at_once_and_limited_in_number(house, anna):
    principal = await house.authenticate(anna.access_token)
    made, key = await house.keys.create(principal, "shop", [Scope.CONTACTS])
    assert key.startswith("gnz_")
    assert made.hint == key[-4:]
    found = await house.authenticate(key)
    assert (found.user_id, found.scopes, found.api_key_id) == (anna.user.id, {Scope.CONTACTS}, made.id)
    await house.keys.revoke(principal, made.id)
    with pytest.raises(Unauthenticated):
        await house.authenticate(key)
    for _ in range(MOST_KEYS):
        await house.keys.create(principal, "shop", [Scope.CONTACTS])
    with pytest.raises(Conflict):
        await house.keys.create(principal, "shop", [Scope.CONTACTS])


async def test_every_change_is_in_the_log_without_secrets(house, anna):
    principal = await house.authenticate(anna.access_token)
    made, key = await house.keys.create(principal, "shop", [Scope.CONTACTS])
    await house.keys.revoke(principal, made.id)
    bob = await house.manage.create(principal, "bob@example.com", PASSWORD, Role.MEMBER)
    await house.manage.change(principal, bob.id, role=Role.ADMIN, disabled=False)
    token, _ = await house.manage.issue_reset(None, bob.id)
    await house.own.reset_password(token, "battery staple")
    await house.own.change_password(principal, PASSWORD, "battery staple")
    assert [(entry.user_id, entry.action, entry.object, entry.object_id) for entry in house.audit.entries] == [
        (anna.user.id, "signed up", "user", anna.user.id),
        (anna.user.id, "created", "api key", made.id),
        (anna.user.id, "revoked", "api key", made.id),
        (anna.user.id, "created", "user", bob.id),
        (anna.user.id, "changed", "user", bob.id),
        (None, "issued password reset", "user", bob.id),
        (bob.id, "reset password", "user", bob.id),
        (anna.user.id, "changed password", "user", anna.user.id),
    ]
    logged = repr(house.audit.entries)
    assert not [secret for secret in (key, token, PASSWORD, "battery") if secret in logged]
