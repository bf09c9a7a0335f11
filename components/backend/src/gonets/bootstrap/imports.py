"""Imports of contacts, put together: for the API, the worker and the scheduler."""

from datetime import timedelta
from pathlib import Path

from gonets.adapters.files.reader import ChildReader
from gonets.adapters.files.storage import FolderStorage, S3Storage
from gonets.adapters.postgres.imports import PostgresImports, PostgresImportWork
from gonets.adapters.postgres.lifeline import PostgresLifeline
from gonets.adapters.postgres.pool import Pool
from gonets.adapters.rabbitmq import topology
from gonets.adapters.rabbitmq.imports import RabbitImportNews, TakeImportWake
from gonets.adapters.rabbitmq.publisher import Publisher
from gonets.adapters.rabbitmq.receiver import Receiver, whole
from gonets.adapters.telemetry.imports import ImportMetrics, MeteredImportWork
from gonets.bootstrap.identity import AuditOf
from gonets.core.contacts.importing import ManageImports, RunImport, WakeImports
from gonets.core.contacts.imports import FileStorage
from gonets.settings import Files, Settings

_AT_ONCE = 2
"""Imports of one worker: a small one does not stand behind a large one."""


def storage(files: Files) -> FileStorage:
    if not files.s3_bucket:
        return FolderStorage(Path(files.folder))
    return S3Storage(
        files.s3_bucket,
        endpoint=files.s3_endpoint,
        region=files.s3_region,
        key_id=files.s3_access_key_id.get_secret_value(),
        secret=files.s3_secret_access_key.get_secret_value(),
    )


def reader(settings: Settings) -> ChildReader:
    return ChildReader(("-m", "gonets.entrypoints.read_file", settings.contacts.phone_region))


def doors(pool: Pool, publisher: Publisher, audit: AuditOf, settings: Settings) -> ManageImports:
    news = RabbitImportNews(publisher)
    return ManageImports(PostgresImports(pool), storage(settings.files), reader(settings), news, audit)


def work(settings: Settings, pool: Pool, lifeline: PostgresLifeline, metrics: ImportMetrics) -> Receiver:
    """`pool`: for statements that take as long as a block of rows does."""
    imports = MeteredImportWork(PostgresImportWork(pool, lifeline), metrics)
    take = TakeImportWake(imports.claim, RunImport(imports, storage(settings.files), reader(settings)))
    return Receiver(settings.rabbit.url, topology.CONTACT_IMPORTS, whole(take), concurrency=_AT_ONCE)


def wake(pool: Pool, publisher: Publisher, settings: Settings) -> WakeImports:
    kept = timedelta(days=settings.retention.files) if settings.retention.files else None
    return WakeImports(PostgresImports(pool), RabbitImportNews(publisher), storage(settings.files), kept)
