"""ApiKey: who may call a server that is not open, and what they may do. The secret itself is never kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from headrace.domain.decision import new_id

PREFIX = "hrk_"


class KeyScope(StrEnum):
    """What a key allows; each includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as it is kept: `digest` is that of its secret, `hint` its last characters."""

    id: str
    digest: str
    hint: str
    scope: KeyScope
    name: str
    created_at: datetime
    revoked_at: datetime | None = None

    def revoked(self, *, now: datetime) -> ApiKey:
        """As it stands when it is good for nothing any more."""
        return self if self.revoked_at else replace(self, revoked_at=now)


def new_key(scope: KeyScope, *, name: str, now: datetime) -> tuple[ApiKey, str]:
    """A fresh key and its secret, which is shown once."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return ApiKey(new_id("key"), digest_of_secret(secret), secret[-4:], scope, name, now), secret


def digest_of_secret(secret: str) -> str:
    """Under which a key is looked up. The secret has 256 random bits, so a plain digest cannot be searched back."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
