"""What a storage of files must do: a folder, and a store that speaks S3."""

import os
import time
from datetime import timedelta

import boto3
import pytest
from moto.server import ThreadedMotoServer

from gonets.adapters.files.storage import FolderStorage, S3Storage
from gonets.core.shared.errors import NotFound, Unavailable

KEY = "imports/0f8fad5b-d9cb-469f-a165-70867728950e"


async def chunks(*parts):
    for part in parts:
        yield part


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def folder(tmp_path):
    return FolderStorage(tmp_path / "files")


@pytest.fixture
def bucket(s3):
    client = boto3.client(
        "s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    client.create_bucket(Bucket="files")
    return S3Storage("files", endpoint=s3, region="us-east-1", key_id="key", secret="secret")


@pytest.fixture(params=["folder", "bucket"])
def storage(request):
    return request.getfixturevalue(request.param)


async def _content(storage, key):
    async with storage.local(key) as path:
        return path.read_bytes()


async def test_a_file_is_there_as_it_was_put(storage):
    parts = [bytes([number]) * 3_000_001 for number in range(5)]
    await storage.put(KEY, chunks(*parts))
    assert await _content(storage, KEY) == b"".join(parts)
    await storage.put(KEY, chunks(b"another"))
    assert await _content(storage, KEY) == b"another"
    await storage.put(f"{KEY}-2", chunks())
    assert await _content(storage, f"{KEY}-2") == b""


async def test_a_file_that_broke_off_is_not_there(storage):
    async def broken():
        yield b"x" * 9_000_000
        raise ValueError("the client went away")

    key = f"{KEY}-broken"
    with pytest.raises(Exception, match="the client went away"):
        await storage.put(key, broken())
    with pytest.raises(NotFound):
        await _content(storage, key)


async def test_a_deleted_file_is_gone(storage):
    await storage.put(KEY, chunks(b"x"))
    await storage.delete(KEY)
    await storage.delete(KEY)
    with pytest.raises(NotFound):
        await _content(storage, KEY)


async def test_old_files_are_listed(storage):
    async def old(age):
        return {key async for keys in storage.old("imports", age) for key in keys}

    before = await old(timedelta())
    put = {f"{KEY}-old-{number}" for number in range(3)}
    for key in put:
        await storage.put(key, chunks(b"x"))
    await storage.put("others/x", chunks(b"x"))
    assert await old(timedelta()) - before == put
    assert await old(timedelta(hours=1)) == set()
    await storage.delete(f"{KEY}-old-0")
    assert await old(timedelta()) - before == put - {f"{KEY}-old-0"}


async def test_what_broke_off_long_ago_is_gone(folder, tmp_path):
    assert [keys async for keys in folder.old("imports", timedelta())] == [[]]
    await folder.put(KEY, chunks(b"x"))
    [broken, young] = [tmp_path / "files" / f"{KEY}-{name}.partial" for name in ("broken", "young")]
    for path in (broken, young):
        path.write_bytes(b"x")
    yesterday = time.time() - 86_401
    os.utime(broken, (yesterday, yesterday))
    assert [keys async for keys in folder.old("imports", timedelta(days=1))] == [[]]
    assert (broken.exists(), young.exists()) == (False, True)


async def test_a_key_leads_nowhere_else(storage):
    for key in ("../other", "/etc/passwd", "imports/../../x", ""):
        with pytest.raises(ValueError, match="no key of ours"):
            await storage.put(key, chunks(b"x"))


async def test_a_folder_that_is_not_there_yet_says_that_it_is_away(tmp_path):
    with pytest.raises(Unavailable):
        await _content(FolderStorage(tmp_path / "not mounted"), KEY)


async def test_a_store_that_is_away_is_unavailable(unused_tcp_port):
    nowhere = S3Storage(
        "files", endpoint=f"http://127.0.0.1:{unused_tcp_port}", region="us-east-1", key_id="key", secret="secret"
    )
    with pytest.raises(Unavailable):
        await nowhere.put(KEY, chunks(b"x"))
    with pytest.raises(Unavailable):
        await _content(nowhere, KEY)
