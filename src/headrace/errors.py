"""One error tree: what failed, whose fault it is, and whether it may be tried again.

Every message says what failed, with which value, and what to do. `code` is stable and for machines; the gateway alone
turns a class into an HTTP status.
"""

from __future__ import annotations

from typing import ClassVar


class HeadraceError(Exception):
    """The root of all errors that Headrace raises on purpose."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, remedy: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.detail} {self.remedy}" if self.remedy else self.detail

    @property
    def outside(self) -> str:
        """What callers from afar are told: all of it, unless it names what is inside, such as paths and addresses."""
        return str(self)


class InvalidInput(HeadraceError):
    """The question itself is wrong: asking again with the same input gives the same error."""

    code = "invalid_input"


class Malformed(InvalidInput):
    """The request does not parse: broken JSON, a missing part, a header that is no number."""

    code = "malformed"


class UnsupportedType(InvalidInput):
    """The bytes are of a kind that nothing here can read."""

    code = "unsupported_type"


class TooLarge(InvalidInput):
    """The input is over a limit; the message names the limit and the value."""

    code = "too_large"


class Unreadable(InvalidInput):
    """The kind is known but the content cannot be read: encrypted, truncated, damaged, a bomb."""

    code = "unreadable"


class Quarantined(InvalidInput):
    """The input is kept back and not answered, until an operator lets it go."""

    code = "quarantined"

    def __init__(self, detail: str, *, quarantine_id: str) -> None:
        super().__init__(detail, remedy=f"An operator may release it as {quarantine_id}.")
        self.quarantine_id = quarantine_id


class NotFound(HeadraceError):
    """No such thing under this name or id."""

    code = "not_found"


class Conflict(HeadraceError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class Overloaded(HeadraceError):
    """More work than can be taken on now; nothing was begun, try again after `retry_after_s`."""

    code = "overloaded"
    retryable = True

    def __init__(self, detail: str, *, remedy: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(detail, remedy=remedy)
        self.retry_after_s = retry_after_s


class OverQuota(Overloaded):
    """The caller has used up what it may use now; others are still served."""

    code = "over_quota"


class Unauthenticated(HeadraceError):
    """The call names no key, or one that is unknown or revoked."""

    code = "unauthenticated"


class Forbidden(HeadraceError):
    """The caller is known and may not do this."""

    code = "forbidden"


class DeadlineExceeded(HeadraceError):
    """The caller's budget is spent, or would be before the work could end."""

    code = "deadline_exceeded"
    retryable = True


class ServiceFailed(HeadraceError):
    """A service raised, answered too little, or died; the fault is ours and not the input's."""

    code = "service_failed"
    retryable = True


class Unavailable(HeadraceError):
    """A part that the call needs cannot be used here now; another server may have it."""

    code = "unavailable"
    retryable = True


class Retry(HeadraceError):
    """Raised by authors: this attempt failed, another may succeed."""

    code = "retry"
    retryable = True


class GiveUp(HeadraceError):
    """Raised by authors: no further attempt will help."""

    code = "give_up"


class InvalidConfiguration(HeadraceError):
    """A setting is unknown, of the wrong type, or contradicts another."""

    code = "invalid_configuration"


class UnreadableArtifact(HeadraceError):
    """A stored model or file is not what its digest or format says."""

    code = "unreadable_artifact"
