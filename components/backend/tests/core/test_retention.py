"""What is older than it may be goes in batches, until none is left or somebody says stop."""

from datetime import timedelta

from gonets.core.shared.retention import Removed, RemoveExpired, Retention

AGE = timedelta(days=30)


class Things:
    """So many that are too old, and behind them what is not."""

    def __init__(self, old):
        self.old = old
        self.looks = []

    async def remove(self, age, place, limit):
        self.looks.append((age, place, limit))
        count = min(self.old, limit)
        self.old -= count
        return Removed(count, (len(self.looks),) if self.old else None)


async def run(*things, going=lambda: True):
    heard = []
    kept = [Retention(f"kind {number}", one, AGE) for number, one in enumerate(things)]
    await RemoveExpired(kept, lambda kind, count: heard.append((kind, count)), limit=10)(going)
    return heard


async def test_batch_follows_batch_from_where_the_last_one_ended():
    things = Things(25)
    assert await run(things) == [("kind 0", 10), ("kind 0", 10), ("kind 0", 5)]
    assert things.looks == [(AGE, None, 10), (AGE, (1,), 10), (AGE, (2,), 10)]


async def test_each_kind_has_its_turn():
    assert await run(Things(1), Things(0), Things(2)) == [("kind 0", 1), ("kind 1", 0), ("kind 2", 2)]


async def test_it_stops_between_two_batches_when_it_is_told_to():
    things, answers = Things(100), iter([True, True, False, False])
    assert len(await run(things, Things(1), going=lambda: next(answers))) == 2


async def test_what_went_is_a_line_in_the_log(caplog):
    caplog.set_level("INFO")
    await run(Things(12), Things(0))
    [line] = [record for record in caplog.records if record.name.startswith("gonets")]
    assert (line.kind, line.removed) == ("kind 0", 12)
