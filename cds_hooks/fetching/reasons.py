"""Why a gap stays one: a code for records and counters, and words for a person."""

from dataclasses import dataclass
from typing import Final

from cds_hooks.prefetch.tokens import NoValue
from cds_hooks.security.refused import Refused
from fhir.client.errors import FetchError


@dataclass(frozen=True, slots=True)
class Why:
    """What stood in the way.

    The codes are no-server, no-token, not-allowed, no-value, needs-another, and those of `fhir/client/errors.py` and
    `security/refused.py`.
    """

    code: str
    text: str


NO_SERVER: Final = Why("no-server", "the EHR did not send them and named no server to ask")
NO_TOKEN: Final = Why("no-token", "the EHR did not send them and gave no token to ask with")
OTHER_SUBJECT: Final = Why("not-allowed", "the access token that came with the call is for another client than us")
NO_VALUE: Final = Why("no-value", "the call has no value for a token of its query")
NOT_KNOWN_BEFORE: Final = Why("needs-another", "what it is looked up by is not known")

# What the way out says of an address that is not this client's.
_NOT_ALLOWED: Final = frozenset({"not-registered", "malformed", "address"})


def why_refused(error: Refused) -> Why:
    """Of an address or a token that does not leave this server."""
    code = "not-allowed" if error.reason in _NOT_ALLOWED else error.reason
    return Why(code, f"the FHIR server is not read ({error.text[0].lower()}{error.text[1:].rstrip('.')})")


def why(error: FetchError | NoValue) -> Why:
    """Of a query that brought nothing, or not everything."""
    if isinstance(error, NoValue):
        return NOT_KNOWN_BEFORE if error.unknown else NO_VALUE
    # what the way out refuses reaches the FHIR client as a connection that was not to be had
    if isinstance(error.__cause__, Refused):
        return why_refused(error.__cause__)
    return Why(error.reason, error.text)
