"""What to do about a missing prefetch key: the query that would bring it, or the reason why it stays missing."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.prefetch.state import KeyState, PrefetchState
from cds_hooks.prefetch.tokens import NoValue, TokenValues, fill_template
from cds_hooks.protocol.request import CDSRequest
from cds_hooks.security.addresses import OutboundRefused
from fhir.client.errors import FetchError, InvalidQuery
from fhir.client.query import Query


class GapReason(Struct, frozen=True):
    """What stood in the way.

    The codes are no-server, no-token, not-found, not-allowed, no-value, needs-another, and those of
    `fhir/client/errors.py` and `cds_hooks/security/addresses.py`.
    """

    code: str
    text: str


NO_SERVER: Final = GapReason("no-server", "the EHR did not send them and named no server to ask")
NO_TOKEN: Final = GapReason("no-token", "the EHR did not send them and gave no token to ask with")
OTHER_SUBJECT: Final = GapReason(
    "not-allowed", "the access token that came with the call is for another client than us"
)
NO_SUCH_PATIENT: Final = GapReason("not-found", "the FHIR server has no such patient")
NO_VALUE: Final = GapReason("no-value", "the call has no value for a token of its query")
NOT_KNOWN_BEFORE: Final = GapReason("needs-another", "what it is looked up by is not known")

# What the way out says of an address that is not this client's.
_NOT_ALLOWED: Final = frozenset({"not-registered", "malformed", "address"})


def gap_reason_of_refusal(error: OutboundRefused) -> GapReason:
    """Of an address or a token that does not leave this server."""
    code = "not-allowed" if error.reason in _NOT_ALLOWED else error.reason
    return GapReason(code, f"the FHIR server is not read ({error.text[0].lower()}{error.text[1:].rstrip('.')})")


def gap_reason(error: FetchError | NoValue) -> GapReason:
    """Of a query that brought nothing, or not everything."""
    if isinstance(error, NoValue):
        return NOT_KNOWN_BEFORE if error.unknown else NO_VALUE
    # what the way out refuses reaches the FHIR client as a connection that was not to be had
    if isinstance(error.__cause__, OutboundRefused):
        return gap_reason_of_refusal(error.__cause__)
    return GapReason(error.reason, error.text)


def known_token_values(
    request: CDSRequest, states: Iterable[KeyState], values: Mapping[str, Any], today: date
) -> TokenValues:
    """Return what tokens stand for: the context, and the answers of the keys that are known."""
    answered = (state for state in states if state.is_known)
    answers = {
        key_state.template.key: values.get(key_state.sent_as or key_state.template.key) for key_state in answered
    }
    return TokenValues(request.context, today, answers)


def query_for_gap(gap: KeyState, values: TokenValues, protocol: str) -> Query | KeyState:
    """Return the query that would fill the gap; where there is nothing to ask, the state of the key instead.

    A path of CDS Hooks 3.0 that finds no reference in what is known is an answer: there is nothing to look up.
    """
    try:
        query = fill_template(gap.template.query_for(protocol), values)
    except (NoValue, InvalidQuery) as error:
        is_answered = isinstance(error, NoValue) and not error.unknown and gap.template.is_of_3
        return _nothing(gap) if is_answered else still_missing(gap, gap_reason(error))
    return _nothing(gap) if values.are_in_hand(query) else query


def without_answered_gaps(request: CDSRequest, state: PrefetchState, today: date, protocol: str) -> PrefetchState:
    """Return the same without the gaps that need no query."""
    values = known_token_values(request, state.states, request.prefetch, today)
    answered = tuple(gap.template.key for gap in state.gaps if _is_answered(gap, values, protocol))
    if not answered:
        return state
    states = (_nothing(key) if key.template.key in answered else key for key in state.states)
    return state.changed(answered, states)


def _is_answered(gap: KeyState, values: TokenValues, protocol: str) -> bool:
    if gap.is_known or not gap.template.is_of_3:
        return False
    query = query_for_gap(gap, values, protocol)
    return isinstance(query, KeyState) and query.is_known


def still_missing(state: KeyState, reason: GapReason) -> KeyState:
    """Return the same gap, with why it could not be filled."""
    text = f"{state.text}; {reason.text}"
    if state.state == "unobtainable":
        return replace(state, reason=reason.code, text=text)
    return replace(state, cause=reason.code, text=text)


def _nothing(gap: KeyState) -> KeyState:
    return replace(gap, state="null", reason="", cause="", text="")
