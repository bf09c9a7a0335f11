"""The public JSON of tasks and notifications, once for all doors: REST, the queues and the command line read and write
these very models (ADR 002)."""

from gonets.contract.fields import within_years
from gonets.contract.notifications import NotificationMessage, NotificationResult, Variables
from gonets.contract.tasks import (
    DeadLetterView,
    FailedTaskView,
    TaskAttemptView,
    TaskError,
    TaskFailure,
    TaskId,
    TaskMessage,
    TaskResult,
)
from gonets.contract.wakes import CampaignWake, ContactImportWake, NotificationWake

__all__ = [
    "CampaignWake",
    "ContactImportWake",
    "DeadLetterView",
    "FailedTaskView",
    "NotificationMessage",
    "NotificationResult",
    "NotificationWake",
    "TaskAttemptView",
    "TaskError",
    "TaskFailure",
    "TaskId",
    "TaskMessage",
    "TaskResult",
    "Variables",
    "within_years",
]
