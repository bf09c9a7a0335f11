"""What every process has."""

from dependency_injector import containers
from dependency_injector.providers import Singleton

from gonets.settings import Settings


class Shared(containers.DeclarativeContainer):
    """What every process has."""

    settings = Singleton(Settings)
    database = settings.provided.database
    rabbit = settings.provided.rabbit
