"""The operator's command for accounts, put together."""

from dependency_injector.providers import Singleton

from gonets.adapters.postgres.pool import Pool
from gonets.bootstrap.identity import identity
from gonets.bootstrap.shared import Shared


class UserContainer(Shared):
    """What `gonets user` needs."""

    pool = Singleton(Pool, Shared.database.dsn, size=1, timeout=30.0)
    people = Singleton(identity, pool, Shared.settings.provided.identity)
    users = people.provided.users
