"""What comes of messages, by channel. Implements Observer."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from gonets.adapters.telemetry.metrics import CALL_BUCKETS, TASK_BUCKETS, Bound
from gonets.core.channels.model import Accepted, Refused, SendOutcome
from gonets.core.notifications.model import Attempt, ChannelKey, Notification


class NotificationMetrics:
    """The figures of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        channel = ["channel", "type"]
        self._sends = Bound(
            Counter(
                "gonets_notification_sends_total",
                "Sends that ended, by outcome",
                [*channel, "outcome"],
                registry=registry,
            )
        )
        self._errors = Bound(
            Counter(
                "gonets_notification_errors_total",
                "Sends that a provider refused, by its code",
                [*channel, "refusal", "code"],
                registry=registry,
            )
        )
        self._duration = Bound(
            Histogram(
                "gonets_notification_send_duration_seconds",
                "Time of a send",
                ["type"],
                buckets=CALL_BUCKETS,
                registry=registry,
            )
        )
        self._reports = Bound(
            Counter(
                "gonets_notification_reports_total",
                "Attempts of which something was learnt after the send",
                [*channel, "state"],
                registry=registry,
            )
        )
        self._latency = Bound(
            Histogram(
                "gonets_notification_latency_seconds",
                "From the notification's row to when a provider first took it",
                ["type"],
                buckets=TASK_BUCKETS,
                registry=registry,
            )
        )
        self._ends = Bound(
            Counter("gonets_notification_ends_total", "Ends of notifications, by status", ["status"], registry=registry)
        )

    def sent(self, found: Notification, channel: ChannelKey, outcome: SendOutcome, seconds: float, age: float) -> None:
        name, kind = _labels(channel)
        self._duration[(kind,)].observe(seconds)
        if isinstance(outcome, Refused):
            self._errors[name, kind, outcome.refusal.value, outcome.code or ""].inc()
            self._sends[name, kind, outcome.refusal.value].inc()
            return
        taken = isinstance(outcome, Accepted)
        self._sends[name, kind, "accepted" if taken else "unknown"].inc()
        if taken and found.sent_at is None:
            self._latency[(kind,)].observe(max(age, 0.0))

    def reported(self, attempt: Attempt) -> None:
        self._reports[(*_labels(attempt.channel), attempt.state.value)].inc()

    def ended(self, found: Notification) -> None:
        self._ends[(found.status.value,)].inc()


class SelfTestMetrics:
    """Channels that test themselves. Implements Count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tests = Counter(
            "gonets_channel_self_tests_total",
            "Tests that channels made of themselves",
            ["channel", "type", "outcome"],
            registry=registry,
        )

    def __call__(self, channel_id: int, channel_type: str, *, ok: bool) -> None:
        # Both are there from the first test on: of a series that begins at 1 Prometheus sees no increase.
        for outcome, count in (("ok", int(ok)), ("failed", int(not ok))):
            self._tests.labels(str(channel_id), channel_type, outcome).inc(count)


def _labels(channel: ChannelKey) -> tuple[str, str]:
    return str(channel.id) if channel.id else "operator", channel.type.value
