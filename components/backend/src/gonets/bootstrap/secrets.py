"""The command that encrypts secrets anew, put together."""

from dependency_injector.providers import Singleton

from gonets.adapters.postgres.pool import Pool
from gonets.bootstrap.channels import Senders, store
from gonets.bootstrap.shared import Shared


class SecretsContainer(Shared):
    """What `gonets secrets rotate` needs."""

    pool = Singleton(Pool, Shared.database.dsn, size=1, timeout=30.0)
    senders = Singleton(Senders, Shared.settings)
    channels = Singleton(store, pool, senders.provided.kinds, Shared.settings)
