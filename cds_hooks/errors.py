"""What can go wrong with a call, and what the client hears: HTTP status and OperationOutcome.

HookError
├── BadRequest            400   the body is not what the hook prescribes
│   └── TooDeep           400   nested deeper than anything real
├── Forbidden             403   for the operator only
├── NotFound              404   no service of this id, no page
├── MethodNotAllowed      405
├── RequestTimeout        408   the body came too slowly
├── PreconditionFailed    412   required data is neither in prefetch nor obtainable
├── PayloadTooLarge       413
├── UnsupportedMediaType  415
├── TooManyCalls          429   more calls of one client at the same time than it may have
└── RecordFailed          503   the decision could not be recorded, so no advice is given
"""

from typing import ClassVar

import msgspec


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
    """The body is larger than the limit."""

    status = 413
    code = "too-long"
    headers = ((b"connection", b"close"),)  # what is still on its way is not waited for


class UnsupportedMediaType(HookError):
    """The body is not declared as JSON."""

    status = 415
    code = "not-supported"


class TooManyCalls(HookError):
    """The client has as many calls under way as it may have."""

    status = 429
    code = "throttled"
    headers = ((b"retry-after", b"1"),)


class RecordFailed(HookError):
    """The decision could not be committed; without a record there is no advice."""

    status = 503
    code = "transient"


def operation_outcome(error: HookError) -> bytes:
    """The FHIR OperationOutcome a client reads, as JSON bytes."""
    issue: dict[str, object] = {
        "severity": "error" if error.status < 500 else "fatal",
        "code": error.code,
        "details": {"text": error.text},
        "diagnostics": error.text,
    }
    if error.expression:
        issue["expression"] = [error.expression]
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
