"""The errors of a call, and what the caller gets for each: an HTTP status and an OperationOutcome.

HookError
├── BadRequest            400   the body is not what the hook prescribes
│   └── TooDeep           400   the body is nested deeper than any FHIR resource
├── Untrusted             401   the token of the call does not show a client of the trust file
├── Forbidden             403   only the operator may see this
├── NotAllowed            403   the client is known, but not registered for this service or hook
├── NotFound              404   there is no service of this id, or no page
├── MethodNotAllowed      405
├── RequestTimeout        408   the body came too slowly
├── PreconditionFailed    412   required data is neither in prefetch nor obtainable
├── PayloadTooLarge       413   (BodyTooLarge, where the body was not read to its end)
├── UnsupportedMediaType  415
├── MisdirectedRequest    421   the Host header is of another name (development profile)
├── TooManyCalls          429   the client has as many calls under way as it may have
├── Overloaded            503   the call waited for longer than its client does
├── CallTimedOut          503   the call was not answered in its time, so no advice is given
├── RecordFailed          503   the decision could not be recorded, so no advice is given
├── ModelNotServed        503   the files of the service's model were changed or are missing
└── ReplayStoreFailed     503   whether the token was used before cannot be checked

Any other exception is answered 500 (`routes/entrance.py`).
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar, Final, Literal, Self

import msgspec
from msgspec import UNSET, Struct, UnsetType


class HookError(Exception):
    """Ground of the tree; `text` says what, where and what to do, and holds no patient data."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"
    headers: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()
    """What the status needs beside the body; names in lower case."""

    def __init__(self, text: str, expression: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.expression = expression


_JSON_TYPES: Final = {
    dict: "an object that is not one",
    list: "a list",
    str: "a string",
    bool: "true or false",
    type(None): "null",
}


def not_a_bundle(received: object, where: str, outcome: str) -> str:
    """Return the sentence of a part of the call that should be a Bundle; it names no value, only the JSON type."""
    kind = _JSON_TYPES.get(type(received), "a number")
    return f"`{where}` must be a FHIR Bundle with an `entry` array; received {kind}. {outcome}"


class BadRequest(HookError):
    """The body or a part of it is not what CDS Hooks or FHIR prescribe."""

    status = 400
    code = "invalid"


class TooDeep(BadRequest):
    """The body is nested deeper than any FHIR resource."""

    code = "too-long"


class Forbidden(HookError):
    """Only the operator of this server may see this."""

    status = 403
    code = "forbidden"


class NotFound(HookError):
    """There is no such service or page."""

    status = 404
    code = "not-found"

    @classmethod
    def of_service(cls, name: str, known: Iterable[str]) -> Self:
        """Say that no service has this id; the id itself only where it is like a known one.

        Anybody can put a patient's name or a page's markup into an address.
        """
        near = get_close_matches(name[:60], known, 1)
        named = f"the id {name[:60]!r} here; did you mean {near[0]!r}?" if near else "this id here."
        return cls(f"There is no service with {named} GET /cds-services lists the services. Nothing was computed.")


class MethodNotAllowed(HookError):
    """The address is right, the method is not."""

    status = 405
    code = "not-supported"
    headers = ((b"allow", b"POST"),)


class RequestTimeout(HookError):
    """The body did not arrive in time."""

    status = 408
    code = "timeout"
    headers = ((b"connection", b"close"),)


class PreconditionFailed(HookError):
    """Required data is missing and cannot be fetched (CDS Hooks 2.0.1, prefetch; checklist row PRE-13)."""

    status = 412
    code = "required"


class PayloadTooLarge(HookError):
    """The body holds more than is worked on: entries, drafts, keys."""

    status = 413
    code = "too-long"


class BodyTooLarge(PayloadTooLarge):
    """The body has more bytes than are read, so some of them are still on their way."""

    headers = ((b"connection", b"close"),)


class UnsupportedMediaType(HookError):
    """The body is not declared as JSON."""

    status = 415
    code = "not-supported"


class MisdirectedRequest(HookError):
    """The Host header is of a name that this server does not answer to (development profile)."""

    status = 421
    code = "forbidden"


class TooManyCalls(HookError):
    """The client has as many calls under way as it may have."""

    status = 429
    code = "throttled"
    headers = ((b"retry-after", b"1"),)


class Overloaded(HookError):
    """The call has waited for longer than its client waits for an answer; nothing was computed or recorded."""

    status = 503
    code = "throttled"
    headers = ((b"retry-after", b"1"),)


class CallTimedOut(HookError):
    """The call was not answered within `CDS_CALL_SECONDS`; it is recorded as a failure."""

    status = 503
    code = "timeout"
    headers = ((b"retry-after", b"5"),)


class RecordFailed(HookError):
    """The decision could not be committed; without a record there is no advice."""

    status = 503
    code = "transient"
    headers = ((b"retry-after", b"5"),)


class ModelNotServed(HookError):
    """The files of the model that a service needs cannot be served; an empty answer would read as an all-clear."""

    status = 503
    code = "exception"


CALL_ID: Final = b"x-call-id"
"""Header of every refusal: the id under which the operator's log has the call."""


class Issue(Struct, frozen=True):
    """One issue of an OperationOutcome."""

    severity: str
    code: str
    details: dict[str, str]
    diagnostics: str
    expression: list[str] | UnsetType = UNSET


class OperationOutcome(Struct, frozen=True):
    """Why a call was not answered (FHIR R4): what was wrong, where, and what to do."""

    resourceType: str
    id: str | UnsetType = UNSET
    issue: list[Issue] = []


def operation_outcome(error: HookError, call_id: str | None = None) -> bytes:
    """Return the FHIR OperationOutcome a client reads, as JSON bytes; its `id` is that of the call, where one is given.

    That of a 401 never has one, so that all have the same body (checklist row SEC-29): its sentence names the header
    `x-call-id`, which every refusal has.
    """
    issue = Issue(
        "error" if error.status < 500 else "fatal",
        error.code,
        {"text": error.text},
        error.text,
        [error.expression] if error.expression else UNSET,
    )
    identifier = UNSET if call_id is None or error.status == Untrusted.status else call_id
    return msgspec.json.encode(OperationOutcome("OperationOutcome", identifier, [issue]))


UntrustedReason = Literal[
    "algorithm",
    "audience",
    "claims",
    "expired",
    "header",
    "issuer",
    "jku",
    "key",
    "keys-away",
    "lifetime",
    "malformed",
    "no-token",
    "not-yet",
    "replayed",
    "scheme",
    "signature",
    "too-long",
    "two-tokens",
]
"""Counter label and log field; docs/security.md says what each means and what to do."""


class Untrusted(HookError):
    """The token is missing or does not hold; `reason` is for the log and the counters, never for the caller."""

    status = 401
    code = "login"
    # RFC 9110, section 15.5.2; without `error=`, which would say why
    headers = ((b"www-authenticate", b"Bearer"),)

    def __init__(self, reason: UntrustedReason, client: str = "") -> None:
        """`client` is the name in the trust file that the token claims to be, where it got that far."""
        super().__init__(
            "This call has no token that is trusted here: `Authorization: Bearer` with a signed JWT is required. "
            "Nothing was computed. "
            f"The operator of this server finds the reason under the id in the header {CALL_ID.decode()}."
        )
        self.reason: UntrustedReason = reason
        self.client = client


class NotAllowed(HookError):
    """A trusted client calls what it is not registered for."""

    status = 403
    code = "forbidden"


class ReplayStoreFailed(HookError):
    """The store of used tokens cannot be read or written."""

    what_cannot_be_used: ClassVar[str] = "The record of decisions"

    status = 503
    code = "transient"
    headers = ((b"retry-after", b"5"),)
