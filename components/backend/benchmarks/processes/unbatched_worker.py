"""Our worker with every batch taken apart: each item is flushed alone, at once. It shows what batching makes a single
task wait."""

from typing import Any

from gonets.core.shared.batching import Batcher
from gonets.entrypoints import worker


async def _alone(batcher: Any, item: Any) -> Any:
    [result] = await batcher._flush([item])
    return result


if __name__ == "__main__":
    Batcher.add = _alone  # type: ignore[assignment, method-assign]
    worker.main()
