"""Whom to trust on a TLS connection: the system's certificate authorities, and those that an operator adds."""

import logging
import ssl
from pathlib import Path

from gonets.core.channels.model import Refusal, Refused, Step

log = logging.getLogger(__name__)


class Trust:
    """Makes one context and keeps it, until the file of further authorities changes or comes to be.

    `ca_file`: certificates in PEM; None: the system's alone.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._seen: float | None = None
        self._context: ssl.SSLContext | None = None

    def __call__(self) -> ssl.SSLContext:
        changed = self._changed_at()
        if self._context is None or changed != self._seen:
            self._context, self._seen = ssl.create_default_context(), changed
            if self._ca_file is not None and changed is not None:
                try:
                    self._context.load_verify_locations(self._ca_file)
                except (OSError, ssl.SSLError):
                    log.exception("TLS_CA_FILE cannot be read", extra={"file": str(self._ca_file)})
        return self._context

    def _changed_at(self) -> float | None:
        try:
            return None if self._ca_file is None else self._ca_file.stat().st_mtime
        except OSError:
            return None


def distrusted(error: ssl.SSLError, who: str, host: str, port_hint: str) -> Refused:
    """What a person is told of TLS that failed. `who`: the mail server, say; `port_hint`: where it is not about its
    certificate."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = f"TLS with {who} failed: {(error.reason or 'unknown').lower().replace('_', ' ')}"
        return Refused(Refusal.CONFIGURATION, reason, hint=port_hint, step=Step.TLS)
    words = error.verify_message.rstrip(".")
    if "mismatch" in words.lower():
        hint = f"its certificate is for another name than {host}: use the name that is in it"
    elif "expired" in words.lower():
        hint = "its operator has to renew it"
    else:
        hint = "an operator can add a private certificate authority with TLS_CA_FILE"
    reason = f"the certificate of {who} is not trusted: {words}"
    return Refused(Refusal.CONFIGURATION, reason, hint=hint, step=Step.TLS)
