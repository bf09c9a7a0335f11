"""Group commit."""

import asyncio

import pytest

from gonets.core.shared.batching import Batcher
from gonets.core.shared.errors import Unavailable, Unexplained


class Flushes:
    """Records each flush, lets it through when told, and fails on what it is told to fail on."""

    def __init__(self, *, poison=(), error=None, gate=False):
        self.batches = []
        self.poison = poison
        self.error = error
        self.gate = asyncio.Event()
        if not gate:
            self.gate.set()
        self.under_way = set()

    async def __call__(self, items):
        self.batches.append(list(items))
        assert not self.under_way & set(items), "one key in two flushes at once"
        self.under_way |= set(items)
        await self.gate.wait()
        self.under_way -= set(items)
        if self.error:
            raise self.error
        if bad := set(items) & set(self.poison):
            raise ValueError(bad)
        return [f"done {item}" for item in items]


async def _turns(number=5):
    for _ in range(number):
        await asyncio.sleep(0)


async def test_one_item_alone_is_flushed_at_once():
    flushes = Flushes()
    assert await Batcher(flushes).add("a") == "done a"
    assert flushes.batches == [["a"]]


async def test_what_comes_at_the_same_moment_travels_together_and_each_gets_its_own_result():
    flushes = Flushes()
    batcher = Batcher(flushes)
    found = await asyncio.gather(*map(batcher.add, range(5)))
    assert found == [f"done {number}" for number in range(5)]
    assert flushes.batches == [[0, 1, 2, 3, 4]]


async def test_the_eager_wait_for_nobody():
    flushes = Flushes(gate=True)
    patient, eager = Batcher(flushes, most=2), Batcher(flushes, most=2, in_flight=3, eager=True)
    adding = [asyncio.create_task(patient.add(number)) for number in range(3)]
    await _turns()
    assert flushes.batches == [[0, 1]]
    adding += [asyncio.create_task(eager.add(number)) for number in range(10, 15)]
    await _turns()
    adding += [asyncio.create_task(eager.add(15))]
    await _turns()
    assert flushes.batches[1:] == [[10, 11], [12, 13], [14]]
    flushes.gate.set()
    await asyncio.gather(*adding)
    assert sorted(flushes.batches) == [[0, 1], [2], [10, 11], [12, 13], [14], [15]]


async def test_heavy_items_do_not_travel_together_and_one_that_is_too_heavy_travels_alone():
    flushes = Flushes()
    batcher = Batcher(flushes, weigh=len, heaviest=4)
    found = await asyncio.gather(*map(batcher.add, ["aa", "bb", "c", "dddddd", "eeee", "f"]))
    assert found == ["done aa", "done bb", "done c", "done dddddd", "done eeee", "done f"]
    assert sorted(flushes.batches) == [["aa", "bb"], ["c"], ["dddddd"], ["eeee"], ["f"]]


async def test_an_error_that_nobody_explains_may_be_one_item_s_fault_and_fails_it_alone():
    class Trigger(Flushes):
        async def __call__(self, items):
            await super().__call__(items)
            if "bad" in items:
                raise Unexplained("boom")
            return items

    batcher = Batcher(Trigger(), shared_errors=(Unavailable,))
    found = await asyncio.gather(*map(batcher.add, ["a", "bad", "b"]), return_exceptions=True)
    assert [found[0], type(found[1]), found[2]] == ["a", Unexplained, "b"]


async def test_while_the_flushes_are_busy_the_rest_gathers_in_order():
    flushes = Flushes(gate=True)
    batcher = Batcher(flushes, in_flight=2)
    adding = []
    for number in range(10):
        adding.append(asyncio.create_task(batcher.add(number)))
        await _turns()
    assert flushes.batches == [[0], [1]]
    flushes.gate.set()
    await asyncio.gather(*adding)
    assert flushes.batches[2] == [2, 3, 4, 5, 6, 7, 8, 9]


async def test_no_batch_holds_more_than_the_most():
    flushes = Flushes()
    batcher = Batcher(flushes, most=3)
    await asyncio.gather(*map(batcher.add, range(10)))
    assert [len(batch) for batch in flushes.batches] == [3, 3, 3, 1]


async def test_of_one_key_only_one_is_in_any_flush_under_way():
    flushes = Flushes()
    batcher = Batcher(flushes, key=lambda item: item)
    found = await asyncio.gather(*map(batcher.add, ["a", "b", "a", "a", "b", "c"]))
    assert found == ["done a", "done b", "done a", "done a", "done b", "done c"]
    assert flushes.batches == [["a", "b", "c"], ["a", "b"], ["a"]]


async def test_a_key_that_is_busy_does_not_hold_up_the_others():
    flushes = Flushes(gate=True)
    batcher = Batcher(flushes, key=lambda item: item, in_flight=2)
    first = asyncio.create_task(batcher.add("a"))
    await _turns()
    again, other = asyncio.create_task(batcher.add("a")), asyncio.create_task(batcher.add("b"))
    await _turns()
    assert flushes.batches == [["a"], ["b"]]
    flushes.gate.set()
    await asyncio.gather(first, again, other)
    assert flushes.batches == [["a"], ["b"], ["a"]]


async def test_a_poisoned_item_fails_alone():
    flushes = Flushes(poison=[2])
    batcher = Batcher(flushes)
    found = await asyncio.gather(*map(batcher.add, range(5)), return_exceptions=True)
    assert [type(answer) for answer in found] == [str, str, ValueError, str, str]
    assert flushes.batches == [[0, 1, 2, 3, 4], [0], [1], [2], [3], [4]]


async def test_a_key_is_free_again_after_its_item_failed():
    flushes = Flushes(poison=["bad"])
    batcher = Batcher(flushes, key=lambda item: item)
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            await batcher.add("bad")


async def test_an_error_that_all_share_goes_to_all_without_another_try():
    flushes = Flushes(error=ConnectionError("away"))
    batcher = Batcher(flushes, shared_errors=(ConnectionError,))
    found = await asyncio.gather(*map(batcher.add, range(3)), return_exceptions=True)
    assert [type(answer) for answer in found] == [ConnectionError] * 3
    assert flushes.batches == [[0, 1, 2]]


async def test_an_error_of_one_kind_does_not_end_the_batcher():
    flushes = Flushes(error=ConnectionError("away"))
    batcher = Batcher(flushes, shared_errors=(ConnectionError,))
    with pytest.raises(ConnectionError):
        await batcher.add(1)
    flushes.error = None
    assert await batcher.add(2) == "done 2"


async def test_who_stopped_waiting_before_the_flush_is_left_out():
    flushes = Flushes(gate=True)
    batcher = Batcher(flushes, in_flight=1)
    first = asyncio.create_task(batcher.add("first"))
    await _turns()
    gone, kept = asyncio.create_task(batcher.add("gone")), asyncio.create_task(batcher.add("kept"))
    await _turns()
    gone.cancel()
    await _turns()
    flushes.gate.set()
    assert await kept == "done kept"
    await first
    assert flushes.batches == [["first"], ["kept"]]


async def test_who_stopped_waiting_during_the_flush_does_not_disturb_the_others():
    flushes = Flushes(gate=True)
    batcher = Batcher(flushes)
    gone, kept = asyncio.create_task(batcher.add("gone")), asyncio.create_task(batcher.add("kept"))
    await _turns()
    gone.cancel()
    flushes.gate.set()
    assert await kept == "done kept"
    assert flushes.batches == [["gone", "kept"]]


async def test_items_added_while_a_poisoned_batch_is_tried_singly_are_not_lost():
    flushes = Flushes(poison=[1], gate=True)
    batcher = Batcher(flushes, in_flight=1)
    early = [asyncio.create_task(batcher.add(number)) for number in range(3)]
    await _turns()
    late = asyncio.create_task(batcher.add(9))
    flushes.gate.set()
    assert await late == "done 9"
    assert [type(answer) for answer in await asyncio.gather(*early, return_exceptions=True)] == [str, ValueError, str]


async def test_a_thousand_callers_in_any_order_all_get_their_own():
    flushes = Flushes()
    batcher = Batcher(flushes, key=lambda item: item % 50, most=37, in_flight=3)

    async def add(number):
        for _ in range(number % 7):
            await asyncio.sleep(0)
        return await batcher.add(number)

    assert await asyncio.gather(*map(add, range(1000))) == [f"done {number}" for number in range(1000)]
    assert sorted(item for batch in flushes.batches for item in batch) == list(range(1000))
