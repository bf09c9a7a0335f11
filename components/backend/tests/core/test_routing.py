"""What is done next about a notification: decisions, in microseconds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gonets.core.channels.model import (
    Accepted,
    Channel,
    ChannelType,
    Delivery,
    Message,
    Receipt,
    Recipient,
    Refusal,
    Refused,
    Unknown,
)
from gonets.core.notifications.model import Attempt, AttemptState, ChannelKey, Notification, Status
from gonets.core.notifications.routing import (
    Candidate,
    Finish,
    Inquire,
    OfUnknown,
    RoutingPolicy,
    SendOn,
    WaitUntil,
    decide,
    order,
    status_of,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
POLICY = RoutingPolicy()
TEMPORARY = Refused(Refusal.TEMPORARY, "busy")
PERMANENT = Refused(Refusal.PERMANENT, "no such chat")
CONFIGURATION = Refused(Refusal.CONFIGURATION, "wrong token")
MINUTE = timedelta(minutes=1)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def candidate(number, channel_type=ChannelType.EMAIL, **facts):
    return Candidate(key=ChannelKey(number, channel_type), name=f"channel {number}", to="somebody", **facts)


TELEGRAM = candidate(1, ChannelType.TELEGRAM)
EMAIL = candidate(2)
SMS = candidate(3, ChannelType.SMS_TWILIO, receipts=True, can_ask=True)
SMPP = candidate(4, ChannelType.SMS_SMPP, receipts=True)


def fresh(**facts):
    return Notification(id=1, owner_id=1, recipient=Recipient(), message=Message("hi"), created_at=NOW, **facts)


def tried(notification, channel, *heard, at=NOW):
    """An attempt by the channel, with what was heard of it, all at one time."""
    number = len(notification.attempts) + 1
    attempt = Attempt(
        number=number,
        round=notification.round,
        reference=f"1-{number}-{channel.key.id}",
        channel=channel.key,
        channel_name=channel.name,
        to="somebody",
        why="",
        state=AttemptState.STARTED,
        started_at=at,
    )
    notification = notification.begun(attempt)
    for one in heard:
        attempt = attempt.reported(one, at) if isinstance(one, Receipt) else attempt.heard(one, at)
    return notification.changed(attempt)


def delivered(**facts):
    return Receipt(Delivery.DELIVERED, final=True, **facts)


def test_the_first_channel_of_the_route_is_first():
    assert decide(fresh(), [TELEGRAM, EMAIL], NOW, POLICY) == SendOn(TELEGRAM, "channel 1 is first on the route")


def test_what_cannot_carry_it_is_passed_over_and_the_timeline_tells_why():
    off = replace(TELEGRAM, obstacle="it is off")
    decision = decide(fresh(), [off, EMAIL], NOW, POLICY)
    assert decision == SendOn(EMAIL, "channel 1 is passed over: it is off; channel 2 is next on the route")


def test_without_a_channel_it_fails_and_says_why():
    assert decide(fresh(), [], NOW, POLICY) == Finish(Status.FAILED, "no channel can reach this recipient")
    off = replace(TELEGRAM, obstacle="it is off")
    assert decide(fresh(), [off], NOW, POLICY) == Finish(Status.FAILED, "channel 1: it is off")


@pytest.mark.parametrize("refused", [PERMANENT, CONFIGURATION])
def test_what_waiting_cannot_help_moves_on_at_once(refused):
    decision = decide(tried(fresh(), TELEGRAM, refused), [TELEGRAM, EMAIL], NOW, POLICY)
    assert isinstance(decision, SendOn)
    assert decision.candidate == EMAIL
    assert refused.reason in decision.why


def test_a_passing_failure_is_tried_again_by_the_same_channel_first():
    found = tried(fresh(), TELEGRAM, TEMPORARY)
    waits = decide(found, [TELEGRAM, EMAIL], NOW, POLICY)
    assert isinstance(waits, WaitUntil)
    assert waits.status is Status.SENDING
    assert NOW + POLICY.first_delay / 2 <= waits.at <= NOW + POLICY.first_delay
    decision = decide(found, [TELEGRAM, EMAIL], waits.at, POLICY)
    assert isinstance(decision, SendOn)
    assert decision.candidate == TELEGRAM
    assert decision.why == "try 2 by channel 1 after: busy"


def test_a_channel_is_given_up_after_so_many_tries():
    found = fresh()
    for _ in range(POLICY.max_attempts):
        found = tried(found, TELEGRAM, TEMPORARY)
    decision = decide(found, [TELEGRAM, EMAIL], NOW, POLICY)
    assert isinstance(decision, SendOn)
    assert decision.candidate == EMAIL
    assert decide(found, [TELEGRAM], NOW, POLICY).status is Status.FAILED


def test_no_try_comes_before_the_provider_wants_one():
    found = tried(fresh(), TELEGRAM, replace(TEMPORARY, retry_after=77))
    assert decide(found, [TELEGRAM, EMAIL], NOW, POLICY).at == after(77)


def test_being_told_when_to_come_back_uses_up_no_tries():
    found = fresh()
    for _ in range(2 * POLICY.max_attempts):
        found = tried(found, TELEGRAM, replace(TEMPORARY, retry_after=1))
    decision = decide(found, [TELEGRAM, EMAIL], after(3600), POLICY)
    assert isinstance(decision, SendOn)
    assert decision.candidate == TELEGRAM
    for _ in range(50):
        found = tried(found, TELEGRAM, replace(TEMPORARY, retry_after=1))
    assert decide(found, [TELEGRAM, EMAIL], after(3600), POLICY).candidate == EMAIL


def test_where_nothing_is_reported_taken_is_the_end():
    decision = decide(tried(fresh(), TELEGRAM, Accepted()), [TELEGRAM, EMAIL], NOW, POLICY)
    assert decision == Finish(Status.SENT, "taken by channel 1, which reports no deliveries", TELEGRAM.key)


def test_where_deliveries_are_reported_they_are_awaited():
    decision = decide(tried(fresh(), SMPP, Accepted("x")), [SMPP, EMAIL], NOW, POLICY)
    assert isinstance(decision, WaitUntil)
    assert decision.status is Status.SENT
    assert decision.at == NOW + POLICY.receipt_patience
    assert decide(tried(fresh(), SMPP, Accepted("x")), [SMPP], decision.at, POLICY).status is Status.SENT


def test_a_missing_receipt_moves_on_after_the_sender_s_time():
    found = tried(fresh(fallback_after=MINUTE), SMPP, Accepted("x"))
    assert decide(found, [SMPP, EMAIL], after(59), POLICY).at == after(60)
    decision = decide(found, [SMPP, EMAIL], after(60), POLICY)
    assert decision == SendOn(EMAIL, "no delivery receipt came from channel 4 in time; channel 2 is next on the route")
    # With nothing to fall back on it goes on waiting.
    assert decide(found, [SMPP], after(60), POLICY).at == NOW + POLICY.receipt_patience


def test_moderation_is_sent_and_the_time_counts_from_after_it():
    kept = Receipt(Delivery.SENT, final=False, code="8", held=True)
    found = tried(fresh(fallback_after=MINUTE), SMPP, Accepted("x"), kept)
    decision = decide(found, [SMPP, EMAIL], after(3600), POLICY)
    assert isinstance(decision, WaitUntil)
    assert decision.status is Status.SENT
    [attempt] = found.attempts
    out = attempt.reported(Receipt(Delivery.SENT, final=False, code="4"), after(3600))
    assert decide(found.changed(out), [SMPP, EMAIL], after(3659), POLICY).at == after(3660)
    assert isinstance(decide(found.changed(out), [SMPP, EMAIL], after(3660), POLICY), SendOn)


def test_a_late_delivered_of_an_old_attempt_stops_the_route():
    found = tried(fresh(fallback_after=MINUTE), SMPP, Accepted("x"))
    found = tried(found, EMAIL, TEMPORARY, at=after(60))
    found = found.changed(found.attempts[0].reported(delivered(), after(61)))
    assert decide(found, [SMPP, EMAIL], after(62), POLICY) == Finish(
        Status.DELIVERED, "delivered by channel 4", SMPP.key
    )


def test_undelivered_moves_on_and_is_the_end_where_nothing_is_left():
    lost = Receipt(Delivery.UNDELIVERED, final=True, reason="no such number")
    found = tried(fresh(), SMPP, Accepted("x"), lost)
    assert decide(found, [SMPP, EMAIL], NOW, POLICY).candidate == EMAIL
    decision = decide(found, [SMPP], NOW, POLICY)
    assert decision == Finish(Status.UNDELIVERED, "channel 4: no such number", SMPP.key)


def test_the_unknown_is_resolved_before_anything_else_is_sent():
    found = tried(fresh(), TELEGRAM, Unknown("no answer came"))
    decision = decide(found, [TELEGRAM, EMAIL], NOW, POLICY)
    assert isinstance(decision, WaitUntil)
    assert decision.status is Status.UNKNOWN
    assert decision.at == NOW + POLICY.grace
    ended = decide(found, [TELEGRAM, EMAIL], NOW + POLICY.grace, POLICY)
    assert isinstance(ended, Finish)
    assert ended.status is Status.UNKNOWN


def test_the_grace_is_never_shorter_than_the_longest_send():
    slow = replace(TELEGRAM, longest_send=timedelta(minutes=10))
    found = tried(fresh(), slow, Unknown("no answer came"))
    assert decide(found, [slow], NOW, POLICY).at == NOW + timedelta(minutes=10)


def test_a_policy_may_send_the_unknown_again_by_the_same_channel():
    policy = replace(POLICY, of_unknown=OfUnknown.RESEND)
    found = tried(fresh(), TELEGRAM, Unknown("no answer came"))
    decision = decide(found, [TELEGRAM, EMAIL], NOW + policy.grace, policy)
    assert isinstance(decision, SendOn)
    assert decision.candidate == TELEGRAM


def test_a_provider_that_can_be_asked_is_asked_and_once_more_when_the_time_is_over():
    found = tried(fresh(), SMS, Unknown("no answer came"))
    first = decide(found, [SMS, EMAIL], NOW, POLICY)
    assert first.at == NOW + POLICY.first_inquiry
    asked_at, now = [], NOW
    for _ in range(20):
        match decide(found, [SMS, EMAIL], now, POLICY):
            case Inquire():
                asked_at.append(now - NOW)
                found = found.changed(found.attempts[0].inquired(now))
            case WaitUntil(at=at):
                now = at
            case Finish() as end:
                break
    assert end.status is Status.UNKNOWN
    assert asked_at == [timedelta(seconds=seconds) for seconds in (5, 15, 35, 75, 120)]


def test_what_the_provider_never_had_is_sent_again():
    found = tried(fresh(), SMS, Unknown("no answer came"), Receipt(Delivery.ABSENT, final=True))
    later = decide(found, [SMS, EMAIL], NOW, POLICY)
    assert decide(found, [SMS, EMAIL], later.at, POLICY).candidate == SMS


def test_after_the_deadline_nothing_is_sent():
    found = fresh(deadline=after(10))
    assert decide(found, [TELEGRAM], after(10), POLICY) == Finish(Status.EXPIRED, "its deadline came first")
    found = tried(found, TELEGRAM, replace(TEMPORARY, retry_after=60))
    assert decide(found, [TELEGRAM, EMAIL], NOW, POLICY).at == after(10)
    assert decide(found, [TELEGRAM, EMAIL], after(10), POLICY).status is Status.EXPIRED


def test_what_was_taken_before_the_deadline_does_not_expire():
    found = tried(fresh(deadline=after(90), fallback_after=MINUTE), SMPP, Accepted("x"))
    found = tried(found, EMAIL, TEMPORARY, at=after(89))
    decision = decide(found, [SMPP, EMAIL], after(95), POLICY)
    assert isinstance(decision, WaitUntil)
    assert decision.status is Status.SENT


def test_cancelled_nothing_more_is_sent():
    found = replace(tried(fresh(), TELEGRAM, TEMPORARY), cancelled=True)
    assert decide(found, [TELEGRAM, EMAIL], after(60), POLICY) == Finish(Status.CANCELLED, "cancelled")
    taken = replace(tried(fresh(fallback_after=MINUTE), SMPP, Accepted("x")), cancelled=True)
    assert decide(taken, [SMPP, EMAIL], after(61), POLICY).status is Status.SENT


def test_a_retry_by_hand_begins_the_route_anew():
    found = tried(fresh(), TELEGRAM, PERMANENT).ended(Status.FAILED, "", None, NOW)
    assert decide(found.again(after(5)), [TELEGRAM], after(5), POLICY).candidate == TELEGRAM


def channel(number, channel_type, *, default=False):
    return Channel(
        id=number,
        owner_id=1,
        name=str(number),
        type=channel_type,
        configuration={},
        is_default=default,
        created_at=NOW,
        updated_at=NOW,
    )


ALL = [
    channel(1, ChannelType.SMS_SMPP),
    channel(2, ChannelType.SMS_EMAIL_GATEWAY),
    channel(3, ChannelType.SMS_SMSAERO),
    channel(4, ChannelType.SMS_TWILIO, default=True),
    channel(5, ChannelType.EMAIL),
    channel(6, ChannelType.TELEGRAM),
    channel(7, ChannelType.WEBHOOK),
]


def ids(route, recipient, channels=ALL):
    return [one.id for one in order(route, recipient, channels)]


def test_the_default_order():
    everything = Recipient("1", "a@b.cd", "+79161234567")
    assert ids([], everything) == [6, 5, 4, 3, 2, 1]
    assert ids([], Recipient(email="a@b.cd")) == [5]


def test_without_an_address_for_any_the_default_channel_is_meant():
    assert ids([], Recipient()) == [4]
    assert ids([], Recipient(), ALL[:3]) == []


def test_a_route_is_kept_as_it_is():
    assert ids([7, 1, 99], Recipient()) == [7, 1]


OUTCOMES = st.sampled_from(
    [
        Accepted("x"),
        TEMPORARY,
        PERMANENT,
        CONFIGURATION,
        Unknown("?"),
        delivered(),
        Receipt(Delivery.UNDELIVERED, final=True, reason="lost"),
        Receipt(Delivery.REJECTED, final=True, reason="thrown away"),
        Receipt(Delivery.SENT, final=False),
        Receipt(Delivery.SENT, final=False, held=True),
        Receipt(Delivery.ABSENT, final=True),
    ]
)
_RANK = {"started": 0, "unknown": 1, "accepted": 2, "rejected": 3, "undelivered": 3, "delivered": 4}


@given(st.lists(OUTCOMES, max_size=12))
def test_truth_never_falls_whatever_comes_in_whatever_order(heard):
    [attempt] = tried(fresh(), SMPP).attempts
    for number, one in enumerate(heard):
        next_one = (
            attempt.reported(one, after(number)) if isinstance(one, Receipt) else attempt.heard(one, after(number))
        )
        assert _RANK[next_one.state] >= _RANK[attempt.state]
        # Hearing it twice changes nothing more.
        again = next_one.reported(one, after(99)) if isinstance(one, Receipt) else next_one.heard(one, after(99))
        assert again == next_one
        attempt = next_one
    if any(isinstance(one, Receipt) and one.delivery is Delivery.DELIVERED for one in heard):
        assert attempt.state is AttemptState.DELIVERED


@given(
    answers=st.lists(OUTCOMES, min_size=1, max_size=40),
    fallback=st.sampled_from([None, MINUTE]),
    deadline=st.sampled_from([None, after(30), after(3600)]),
    resend=st.booleans(),
    cancel_at=st.integers(0, 20) | st.none(),
)
def test_every_story_ends_in_one_state_and_sends_no_more_than_it_may(answers, fallback, deadline, resend, cancel_at):
    """Whatever the providers say: it ends, nothing is sent after delivered, deadline or cancel, and no channel gets a
    second message while the first may have been taken."""
    policy = replace(POLICY, of_unknown=OfUnknown.RESEND if resend else OfUnknown.HOLD)
    route = [TELEGRAM, SMS, SMPP]
    found, now, said = fresh(fallback_after=fallback, deadline=deadline), NOW, iter(answers)
    for step in range(400):
        if step == cancel_at:
            found = replace(found, cancelled=True)
        decision = decide(found, route, now, policy)
        assert decision == decide(found, route, now, policy)
        match decision:
            case SendOn(candidate=chosen):
                assert not found.cancelled
                assert deadline is None or now < deadline
                before = [one for one in found.attempts if one.channel == chosen.key]
                may_have_it = {AttemptState.ACCEPTED, AttemptState.DELIVERED, AttemptState.STARTED}
                assert not {one.state for one in before} & may_have_it
                assert resend or AttemptState.UNKNOWN not in {one.state for one in found.attempts}
                assert len(before) < policy.max_attempts
                found = tried(found, chosen, next(said, PERMANENT), at=now)
            case Inquire(reference=reference):
                attempt = found.attempt(reference).inquired(now)
                told = next(said, None)
                if isinstance(told, Receipt):
                    attempt = attempt.reported(told, now)
                found = found.changed(attempt)
            case WaitUntil(at=at):
                assert at is not None
                assert at > now
                now = at
            case Finish() as end:
                assert status_of(found, decision) is end.status
                states = {one.state for one in found.attempts}
                assert (end.status is Status.DELIVERED) == (AttemptState.DELIVERED in states)
                assert end.status is not Status.FAILED or AttemptState.ACCEPTED not in states
                return
    pytest.fail("it never ends")
