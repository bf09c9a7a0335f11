"""Many frames in one write. aiormq writes each message and each acknowledgement by itself, and the system calls are a
good part of what a task costs (docs/performance.md). This reaches into aiormq: pyproject.toml pins its version."""

from collections.abc import Sequence
from typing import Any

from aiormq.abc import AbstractChannel, ChannelFrame


async def write(channel: AbstractChannel, frames: Sequence[Any]) -> None:
    """Hands the frames to the connection's writer. Waits only while that has too much to do."""
    inside: Any = channel
    await inside.write_queue.put(ChannelFrame.marshall(channel_number=channel.number, frames=frames))
