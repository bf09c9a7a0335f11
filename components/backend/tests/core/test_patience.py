"""Going on when something is away."""

import asyncio

import pytest

from gonets.core.shared.errors import Invalid, Unavailable, Unexplained
from gonets.core.shared.patience import until_available


class Action:
    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls = 0

    async def __call__(self):
        self.calls += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made, none of which takes time."""
    made = []

    async def pause(seconds):
        made.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", pause)
    return made


async def test_what_works_is_done_once_and_without_a_pause(pauses):
    action = Action("result")
    assert await until_available(action) == "result"
    assert (action.calls, pauses) == (1, [])


async def test_what_is_away_is_asked_until_it_is_back(pauses):
    action = Action(*[Unavailable("away")] * 7, "result")
    assert await until_available(action) == "result"
    assert action.calls == 8


async def test_the_pauses_grow_up_to_the_longest(pauses):
    await until_available(Action(*[Unavailable("away")] * 7, None), longest_pause=1.0)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


async def test_any_other_error_ends_it(pauses):
    action = Action(Unavailable("away"), Invalid("data", "bad"), "never")
    with pytest.raises(Invalid):
        await until_available(action)
    assert action.calls == 2


async def test_cancellation_ends_it():
    waiting = asyncio.create_task(until_available(Action(*[Unavailable("away")] * 1000)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_nobody_explains_is_said_loudly_and_once(pauses, caplog):
    assert await until_available(Action(*[Unexplained("boom")] * 3, "result")) == "result"
    assert [line.reason for line in caplog.records if line.levelname == "ERROR"] == ["boom"]
