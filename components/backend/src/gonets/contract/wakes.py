"""Inside the service: which row to look at."""

from collections.abc import Sequence
from typing import Self

from pydantic import model_validator

from gonets.contract.fields import Camel, Id


class NotificationWake(Camel):
    """Inside the service: look at this row, or at these."""

    notification_id: Id | None = None
    notification_ids: tuple[Id, ...] = ()

    @property
    def ids(self) -> Sequence[int]:
        return self.notification_ids if self.notification_id is None else (self.notification_id, *self.notification_ids)


class ContactImportWake(Camel):
    """Inside the service: look at this row."""

    import_id: Id


class CampaignWake(Camel):
    """Inside the service: look at this campaign, or at this chunk of one."""

    campaign_id: Id | None = None
    chunk_id: Id | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.campaign_id is None) == (self.chunk_id is None):
            raise ValueError("must name a campaignId or a chunkId")
        return self
