"""Why something could not be read from a FHIR server. No address, token or answer of the server is in any text.

FetchError
├── NotAQuery       not-a-query     what was asked for is not a plain read or search; nothing was sent
├── OutOfTime       timeout         the deadline came first
├── Unreachable     unreachable     no connection, or it broke off
├── Busy            busy            429 or 503, and no time left to wait as the server asks
├── Unauthorized    unauthorized    401: the token is not, or no longer, accepted
├── Forbidden       forbidden       403: not for this user, this client or this scope
├── ServerFailed    server-error    any other status, or an OperationOutcome in place of the data
├── Unreadable      unreadable      no JSON, or no FHIR resource of the kind that was asked for
├── TooLarge        too-large       more pages or bytes than are read
└── Elsewhere       elsewhere       a redirect or a next page that leads away from the server's base address
"""

from typing import ClassVar


class FetchError(Exception):
    """Base class of the errors; `reason` is a code for metrics and records, `text` a sentence for a person."""

    reason: ClassVar[str] = "not-fetched"
    words: ClassVar[str] = "it could not be fetched"

    def __init__(self, words: str | None = None) -> None:
        self.text = words or self.words
        super().__init__(self.text)


class InvalidQuery(FetchError):
    """The query is not a plain read or a type-level search."""

    reason = "not-a-query"
    words = "the query is not a plain read or search"


class DeadlineExceeded(FetchError):
    """The server did not answer before the deadline."""

    reason = "timeout"
    words = "the FHIR server did not answer in time"


class Unreachable(FetchError):
    """The server cannot be reached, or the connection was lost."""

    reason = "unreachable"
    words = "the FHIR server cannot be reached"


class Busy(FetchError):
    """The server asks the client to wait longer than there is time."""

    reason = "busy"
    words = "the FHIR server is busy and asks to wait longer than there is time"


class Unauthorized(FetchError):
    """The token is not accepted. CDS Hooks has no way to refresh it (checklist row FHIR-20)."""

    reason = "unauthorized"
    words = "the FHIR server refuses the access token with 401"


class Forbidden(FetchError):
    """The data is outside what the user or the client may see."""

    reason = "forbidden"
    words = "the FHIR server refuses this user or client with 403"


class ServerFailed(FetchError):
    """The server answered with an error status that has no class of its own."""

    reason = "server-error"
    words = "the FHIR server answered with an error"


class Unreadable(FetchError):
    """The answer is not a FHIR resource of the kind that was asked for."""

    reason = "unreadable"
    words = "the FHIR server's answer is no FHIR resource of the kind that was asked for"


class TooLarge(FetchError):
    """The answer has more pages or bytes than the limits allow."""

    reason = "too-large"
    words = "the answer is larger than what is read"


class ForeignAddress(FetchError):
    """The server points to an address outside its base; tokens and queries are sent to one origin only."""

    reason = "elsewhere"
    words = "the FHIR server points to another address, which is not followed"
