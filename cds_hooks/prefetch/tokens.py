"""Prefetch tokens: a template and the values of one call give a query; no value can become part of its syntax.

What to do about a missing prefetch key: the query that would bring it, or the reason why it stays missing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import unquote

from cds_hooks.prefetch import KeyState, PrefetchState
from cds_hooks.prefetch.paths import TOKEN, PathEvaluator, PathUnion, TodayToken, UserToken, WrongToken, read_token
from cds_hooks.protocol.request import CDSRequest
from cds_hooks.security.connections import OutboundRefused
from fhir.client.errors import FetchError, InvalidQuery
from fhir.client.query import Query, Read, Search, escaped

MOST_VALUES: Final = 200
"""Of one token: what is beyond makes a query that no server takes."""


class NoValue(Exception):
    """A token has no value in this call.

    The context field was not sent, the user is of another type (TOK-06), or the path finds nothing. `unknown` are the
    keys that it reads and that are not known themselves.
    """

    def __init__(self, token: str, unknown: tuple[str, ...] = ()) -> None:
        super().__init__(f"this call has no value for {{{{{token}}}}}")
        self.token = token
        self.unknown = unknown


@dataclass(frozen=True, slots=True)
class TokenValues:
    """What tokens stand for in one call: its context, a struct or JSON, and what earlier keys were answered with.

    A key that is not in `answers` is not known; null is an answer.
    """

    context: Any
    today: date
    answers: Mapping[str, Any] = field(default_factory=dict)

    def of(self, text: str) -> tuple[str, ...]:
        """The values of what stands between the braces, each once; NoValue where there is none."""
        try:
            token = read_token(text)
        except WrongToken as error:
            raise NoValue(text) from error
        if isinstance(token, PathUnion):
            found = tuple(dict.fromkeys(self._found(token)))[:MOST_VALUES]
            if not found:
                raise NoValue(text, tuple(key for key in token.keys if key not in self.answers))
            return found
        return (self._day(token, text) if isinstance(token, TodayToken) else self._user(token, text),)

    def are_in_hand(self, query: Query) -> bool:
        """Whether a search by nothing but ids would bring only what came with the call, or was fetched already."""
        if not isinstance(query, Search) or len(query.parameters) != 1 or query.parameters[0][0] != "_id":
            return False
        walk = PathEvaluator(self.context, self.answers)
        return all(walk.has(query.type, identity) for identity in query.parameters[0][1].split(","))

    def _found(self, union: PathUnion) -> Iterator[str]:
        walk = PathEvaluator(self.context, self.answers)
        for path in union.paths:
            yield from walk.values(path) if path.field is None else walk.field(path.field)

    def _day(self, token: TodayToken, text: str) -> str:
        try:
            return (self.today + timedelta(days=token.days)).isoformat()
        except OverflowError as error:
            raise NoValue(text) from error

    def _user(self, token: UserToken, text: str) -> str:
        user = next(PathEvaluator(self.context, {}).field("userId"), "")
        kind, _, identity = user.rpartition("/")
        if not identity or kind.rpartition("/")[2] != token.type:
            raise NoValue(text)
        return identity


def fill_template(template: str, values: TokenValues) -> Query:
    """The query that a template means in one call; NoValue, or NotAQuery where it is no read or search."""
    path, question, parameters = template.partition("?")
    if not question:
        kind, slash, identity = path.partition("/")
        if not slash:  # `{{context.userId}}` alone is a whole read: its value is Type/id (TOK-07)
            kind, slash, identity = _plain(path, values).partition("/")
            return Read(kind, identity)
        return Read(kind, _plain(identity, values))
    pairs = [pair.partition("=") for pair in parameters.split("&")]
    if not all(equals for _, equals, _ in pairs):
        raise InvalidQuery
    return Search(path, tuple((name, _escaped(value, values)) for name, _, value in pairs))


def _plain(text: str, values: TokenValues) -> str:
    parts = TOKEN.split(text)
    parts[1::2] = [_one(values.of(token)) for token in parts[1::2]]
    return "".join(parts)


def _one(found: tuple[str, ...]) -> str:
    if len(found) != 1:
        raise InvalidQuery  # several ids are a search, no read
    return found[0]


def _escaped(text: str, values: TokenValues) -> str:
    """The template's own separators stay; those in a value do not become any. Several values mean "or" (TOK-13)."""
    parts = TOKEN.split(text)
    parts[::2] = [unquote(literal) for literal in parts[::2]]
    parts[1::2] = [",".join(escaped(value) for value in values.of(token)) for token in parts[1::2]]
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class GapReason:
    """What stood in the way.

    The codes are no-server, no-token, not-found, not-allowed, no-value, needs-another, and those of
    `fhir/client/errors.py` and `security/refused.py`.
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
    """What tokens stand for: the context, and the answers of the keys that are known."""
    known = (each for each in states if each.known)
    answers = {each.template.key: values.get(each.sent_as or each.template.key) for each in known}
    return TokenValues(request.context, today, answers)


def query_for_gap(gap: KeyState, values: TokenValues, protocol: str) -> Query | KeyState:
    """The query that would fill the gap; where there is nothing to ask, the state of the key instead.

    A path of CDS Hooks 3.0 that finds no reference in what is known is an answer: there is nothing to look up.
    """
    try:
        query = fill_template(gap.template.query_for(protocol), values)
    except (NoValue, InvalidQuery) as error:
        is_answered = isinstance(error, NoValue) and not error.unknown and gap.template.is_of_3
        return _nothing(gap) if is_answered else still_missing(gap, gap_reason(error))
    return _nothing(gap) if values.are_in_hand(query) else query


def without_answered_gaps(request: CDSRequest, state: PrefetchState, today: date, protocol: str) -> PrefetchState:
    """The same without the gaps for which nobody has to be asked."""
    values = known_token_values(request, state.states, request.prefetch, today)
    states = tuple(_settled(each, values, protocol) for each in state.states)
    return state if states == state.states else replace(state, states=states)


def _settled(state: KeyState, values: TokenValues, protocol: str) -> KeyState:
    if state.known or not state.template.is_of_3:
        return state
    found = query_for_gap(state, values, protocol)
    return found if isinstance(found, KeyState) and found.known else state


def still_missing(state: KeyState, reason: GapReason) -> KeyState:
    """The same gap, with why it could not be filled."""
    text = f"{state.text}; {reason.text}"
    if state.state == "unobtainable":
        return replace(state, reason=reason.code, text=text)
    return replace(state, cause=reason.code, text=text)


def _nothing(gap: KeyState) -> KeyState:
    return replace(gap, state="null", reason="", cause="", text="")
