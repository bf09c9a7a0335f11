"""What was told, for tests to read."""

from gonets.core.shared.errors import Unavailable
from gonets.core.tasks.model import Failure, Task, Waiter


class FakeAnnouncements:
    """Records everything; refuses everything while it is not `available`."""

    def __init__(self) -> None:
        self.available = True
        self.results: list[tuple[int, int]] = []
        self.failures: list[tuple[int, Failure]] = []
        self.replies: list[tuple[Waiter, int, int | Failure]] = []
        self.wakes: list[Task] = []
        self.unwakeable: set[int] = set()
        """Ids of tasks whose wake-up alone is refused."""

    async def result(self, task_id: int, result_id: int) -> None:
        self._check()
        self.results.append((task_id, result_id))

    async def failure(self, task_id: int, failure: Failure) -> None:
        self._check()
        self.failures.append((task_id, failure))

    async def reply(self, waiter: Waiter, task_id: int, outcome: int | Failure) -> None:
        self._check()
        self.replies.append((waiter, task_id, outcome))

    async def wake(self, task: Task) -> None:
        self._check()
        if task.task_id in self.unwakeable:
            raise Unavailable("the broker did not take the message")
        self.wakes.append(task)

    def _check(self) -> None:
        if not self.available:
            raise Unavailable("the broker is away")
