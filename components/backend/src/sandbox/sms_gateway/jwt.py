"""JSON Web Tokens signed with HS256: RFC 7519 in the compact form of RFC 7515. Written out because it is this short."""

import base64
import hashlib
import hmac
import json
from typing import Any


class TokenError(ValueError):
    """The token cannot be trusted; the text says why."""


def sign(claims: dict[str, Any], secret: bytes) -> str:
    head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = _encode(json.dumps(claims).encode())
    return f"{head}.{body}.{_encode(_mac(f'{head}.{body}', secret))}"


def verify(token: str, secret: bytes, now: float) -> dict[str, Any]:
    """The claims. Raises TokenError: malformed, another algorithm, bad signature, no `exp`, or expired."""
    try:
        head, body, signature = token.split(".")
        header, claims, given = json.loads(_decode(head)), json.loads(_decode(body)), _decode(signature)
        algorithm, expires = header["alg"], claims["exp"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TokenError("malformed token") from error
    if algorithm != "HS256":  # in particular not "none"
        raise TokenError("algorithm is not HS256")
    if not hmac.compare_digest(given, _mac(f"{head}.{body}", secret)):
        raise TokenError("bad signature")
    if isinstance(expires, bool) or not isinstance(expires, int | float) or expires <= now:
        raise TokenError("token expired")
    return dict(claims)


def _mac(text: str, secret: bytes) -> bytes:
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
