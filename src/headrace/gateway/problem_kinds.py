"""All kinds of problems that the gateway names; the docs' page of problems is made of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem: its code, its status, and what its page in the docs says."""

    code: str
    status: int
    title: str
    meaning: str
    remedy: str


KINDS = (
    Problem(
        "malformed",
        400,
        "The request does not parse",
        "Broken JSON, a missing part, a header or a parameter that is none.",
        "Mend the request by what `detail` names; sending it again as it is gives the same answer.",
    ),
    Problem(
        "unauthenticated",
        401,
        "No valid key",
        "The call names no API key, or one that is unknown or revoked.",
        "Send `Authorization: Bearer <key>`; `headrace keys create` makes one.",
    ),
    Problem(
        "forbidden",
        403,
        "Not allowed with this key",
        "The key is valid, and its scope does not cover this call.",
        "Use a key with the scope that `detail` names.",
    ),
    Problem(
        "not_found",
        404,
        "No such thing",
        "Nothing stands under this path, name or id; records may have been forgotten by age.",
        "Check the path and the id.",
    ),
    Problem(
        "method_not_allowed",
        405,
        "Not with this method",
        "The path exists and answers other methods, named in `Allow`.",
        "Use one of them.",
    ),
    Problem(
        "conflict",
        409,
        "Not in this state",
        "The thing is in a state that does not allow the call, or a call with the same key is still running.",
        "Look at it again, then decide.",
    ),
    Problem(
        "too_large",
        413,
        "Over a limit",
        "The body, the pages or another measure is over a limit of this server; `detail` names limit and value.",
        "Send less, or have the limit raised in `[limits]`.",
    ),
    Problem(
        "unsupported_type",
        415,
        "Cannot read this type",
        "The bytes are of a kind that nothing here reads, whatever their name says.",
        "Convert them to one of the kinds that the docs list.",
    ),
    Problem(
        "unreadable",
        422,
        "Damaged, encrypted or made to harm",
        "The kind is known and the content cannot be read.",
        "Save the file anew, without a password.",
    ),
    Problem(
        "invalid_input",
        422,
        "Readable but wrong",
        "The input parses and still makes no sense for this call.",
        "Change the input as `detail` says.",
    ),
    Problem(
        "quarantined",
        422,
        "Kept back",
        "The input is of a quality that no answer could be trusted on; it is kept, and was not answered.",
        "Send a better copy, or have an operator release it: `POST /v1/quarantine/{id}/release`.",
    ),
    Problem(
        "over_quota",
        429,
        "This caller's quota is used up",
        "Others are still served; `Retry-After` says when this one is again.",
        "Wait for `Retry-After` seconds.",
    ),
    Problem(
        "service_failed",
        500,
        "A service failed",
        "A part of this server raised or died; the fault is not the input's. It has been logged.",
        "Try again; report it with the `request_id` when it stays.",
    ),
    Problem(
        "internal",
        500,
        "Something failed here",
        "An error that nobody foresaw. It has been logged.",
        "Report it with the `request_id`.",
    ),
    Problem(
        "overloaded",
        503,
        "Too much to do, or stopping",
        "Nothing was begun. `Retry-After` says when to come again.",
        "Wait for `Retry-After` seconds, then send it again.",
    ),
    Problem(
        "unavailable",
        503,
        "A part is away",
        "A store or a service that the call needs cannot be reached now.",
        "Try again in a moment; `headrace doctor` names what is wrong.",
    ),
    Problem(
        "deadline_exceeded",
        504,
        "The time budget is spent",
        "The answer could not be there within `X-Request-Timeout-Ms`, or within the server's own limit.",
        "Give more time, send less, or ask for a job with `Prefer: respond-async`.",
    ),
)
"""In the order of their status."""
