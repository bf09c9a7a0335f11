"""Where files wait: a folder, or an S3-compatible store. Implements FileStorage."""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import obstore
from obstore.exceptions import BaseError
from obstore.exceptions import NotFoundError as ObjectNotFound
from obstore.store import S3Store

from gonets.core.shared.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from obstore.store import S3Config

_PART = 8 * 2**20  # bytes; S3 takes no smaller ones but the last


_KEY = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*")
_PARTIAL = ".partial"


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"no key of ours: {key!r}")
    return key


class FolderStorage:
    """Files in a folder that all processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        path = self._folder / _checked(key)
        partial = path.with_name(f"{path.name}{_PARTIAL}")
        try:
            file = await asyncio.to_thread(_create, partial)
            try:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_finish, file, partial, path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            finally:
                file.close()
        except OSError as error:
            raise Unavailable(f"the folder of files cannot be written: {error.strerror or error}") from error

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        path = self._folder / _checked(key)
        if not await asyncio.to_thread(path.is_file):
            if not await asyncio.to_thread(self._folder.is_dir):
                raise Unavailable("the folder of files is not there")
            raise NotFound("the file is not there")
        yield path

    async def delete(self, key: str) -> None:
        try:
            await asyncio.to_thread((self._folder / _checked(key)).unlink, missing_ok=True)
        except OSError as error:
            raise Unavailable(f"the folder of files cannot be written: {error.strerror or error}") from error

    async def old(self, folder: str, age: timedelta) -> AsyncIterator[Sequence[str]]:
        try:
            names = await asyncio.to_thread(_old, self._folder / _checked(folder), age)
        except OSError as error:
            raise Unavailable(f"the folder of files cannot be read: {error.strerror or error}") from error
        yield [f"{folder}/{name}" for name in names]


def _old(folder: Path, age: timedelta) -> Sequence[str]:
    """Names of ours; what broke off is removed."""
    last, found = datetime.now(UTC).timestamp() - age.total_seconds(), []
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.stat().st_mtime > last:
            continue
        if path.suffix == _PARTIAL:
            path.unlink(missing_ok=True)
        elif _KEY.fullmatch(path.name):
            found.append(path.name)
    return found


def _create(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")


def _finish(file: BinaryIO, partial: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    partial.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class S3Storage:
    """Objects of a bucket: Amazon's, or of whatever else speaks S3."""

    def __init__(self, bucket: str, *, endpoint: str, region: str, key_id: str, secret: str) -> None:
        """`endpoint`: empty for Amazon's."""
        config: S3Config = {"region": region, "access_key_id": key_id, "secret_access_key": secret}
        if endpoint:
            config["endpoint"] = endpoint
        self._store = S3Store(
            bucket,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": timedelta(seconds=60),
                "connect_timeout": timedelta(seconds=5),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        # A multipart upload that is not completed leaves no object.
        try:
            await obstore.put_async(self._store, _checked(key), chunks, chunk_size=_PART, max_concurrency=2)
        except BaseError as error:
            raise _away(error) from error

    @asynccontextmanager
    async def local(self, key: str) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory(prefix="gonets-import-") as folder:
            path = Path(folder) / "file"
            try:
                found = await obstore.get_async(self._store, _checked(key))
                with path.open("wb") as file:
                    async for chunk in found.stream(min_chunk_size=_PART):
                        await asyncio.to_thread(file.write, bytes(chunk))
            except (ObjectNotFound, FileNotFoundError) as error:
                raise NotFound("the file is not there") from error
            except BaseError as error:
                raise _away(error) from error
            except OSError as error:
                raise Unavailable(f"there is no room for the file: {error.strerror or error}") from error
            yield path

    async def delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._store, _checked(key))
        except (ObjectNotFound, FileNotFoundError):
            return
        except BaseError as error:
            raise _away(error) from error

    async def old(self, folder: str, age: timedelta) -> AsyncIterator[Sequence[str]]:
        last = datetime.now(UTC) - age
        try:
            async for found in obstore.list(self._store, f"{_checked(folder)}/"):
                yield [one["path"] for one in found if one["last_modified"] <= last and _KEY.fullmatch(one["path"])]
        except BaseError as error:
            raise _away(error) from error


def _away(error: BaseError) -> Unavailable:
    return Unavailable(f"the store of files is away: {str(error).splitlines()[0][:200]}")
