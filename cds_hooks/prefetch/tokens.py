"""Prefetch tokens: a template and the values of one call give a query; no value can become part of its syntax."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Struct, field

from cds_hooks.prefetch.paths import TOKEN, PathEvaluator, PathUnion, TodayToken, UserToken, WrongToken, read_token
from fhir.client.errors import InvalidQuery
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


class TokenValues(Struct, frozen=True):
    """What tokens stand for in one call: its context, a struct or JSON, and what earlier keys were answered with.

    A key that is not in `answers` is not known; null is an answer.
    """

    context: Any
    today: date
    answers: Mapping[str, Any] = field(default_factory=dict)

    def values_of(self, text: str) -> tuple[str, ...]:
        """Return the values of what stands between the braces, each once; NoValue where there is none."""
        try:
            token = read_token(text)
        except WrongToken as error:
            raise NoValue(text) from error
        if isinstance(token, PathUnion):
            values = tuple(dict.fromkeys(self._path_values(token)))[:MOST_VALUES]
            if not values:
                raise NoValue(text, tuple(key for key in token.keys if key not in self.answers))
            return values
        return (self._day(token, text) if isinstance(token, TodayToken) else self._user(token, text),)

    def are_in_hand(self, query: Query) -> bool:
        """Whether a search by nothing but ids would bring only what came with the call, or was fetched already."""
        if not isinstance(query, Search) or len(query.parameters) != 1 or query.parameters[0][0] != "_id":
            return False
        walk = PathEvaluator(self.context, self.answers)
        return all(walk.has(query.type, identity) for identity in query.parameters[0][1].split(","))

    def _path_values(self, union: PathUnion) -> Iterator[str]:
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
    """Return the query that a template means in one call; NoValue, or NotAQuery where it is no read or search."""
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
    parts[1::2] = [_only_value(values.values_of(token)) for token in parts[1::2]]
    return "".join(parts)


def _only_value(texts: tuple[str, ...]) -> str:
    if len(texts) != 1:
        raise InvalidQuery  # several ids are a search, no read
    return texts[0]


def _escaped(text: str, values: TokenValues) -> str:
    """Return values in which no sign becomes a separator of the template. Several values mean "or" (TOK-13)."""
    parts = TOKEN.split(text)
    parts[::2] = [unquote(literal) for literal in parts[::2]]
    parts[1::2] = [",".join(escaped(value) for value in values.values_of(token)) for token in parts[1::2]]
    return "".join(parts)
