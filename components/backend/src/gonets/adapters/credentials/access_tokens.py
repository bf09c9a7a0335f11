"""Access tokens as JSON Web Tokens (RFC 7519), signed with HMAC-SHA256."""

import secrets
from datetime import UTC, datetime

import jwt
from jwt.types import Options

from gonets.core.identity.model import Access

_ALGORITHM = "HS256"
_ISSUER = "gonets"
_OPTIONS: Options = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "require": ["exp", "iss", "sub", "sid"],
}


class JwtAccessTokens:
    """Implements AccessTokens. `sid` is the session, `sub` the user."""

    def __init__(self, key: str) -> None:
        self._key = key

    def issue(self, access: Access) -> str:
        claims = {
            "iss": _ISSUER,
            "sub": str(access.user_id),
            "sid": access.session_id,
            "exp": int(access.expires_at.timestamp()),
            "jti": secrets.token_hex(8),  # so that no two are alike
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def read(self, token: str) -> Access | None:
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM], issuer=_ISSUER, options=_OPTIONS)
            return Access(int(claims["sub"]), int(claims["sid"]), datetime.fromtimestamp(claims["exp"], UTC))
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError):
            return None
