"""`gonets worker` with an SDK that breaks the whole process on one answer: what no exception handler can catch."""

import ctypes

from gonets.adapters.providers.dadata import Dadata
from gonets.bootstrap.worker import WorkerContainer
from gonets.core.tasks.model import JSON
from gonets.entrypoints import worker

DEADLY = "+79999999999"


class _Deadly(Dadata):
    async def ask(self, data: str) -> JSON:
        answer = await super().ask(data)
        if data == DEADLY:
            ctypes.string_at(0)  # reads address 0: SIGSEGV
        return answer


if __name__ == "__main__":
    WorkerContainer.phone.set_provides(_Deadly)
    worker.main()
