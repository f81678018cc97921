"""Prefetch tokens: a template and the values of one call give a query; no value can become part of its syntax."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from msgspec import Struct, structs

from cds_hooks.protocol.hooks import Context
from fhir.client.errors import NotAQuery
from fhir.client.query import Query, Read, Search, escaped

TOKEN: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")
TODAY: Final = re.compile(r"today\(\)(?:\s*([+-])\s*(\d{1,6})\s*days?)?")
USER_TOKENS: Final[Mapping[str, str]] = {
    "userPractitionerId": "Practitioner",
    "userPractitionerRoleId": "PractitionerRole",
    "userPatientId": "Patient",
    "userRelatedPersonId": "RelatedPerson",
}


class NoValue(Exception):
    """A token has no value in this call: a context field that was not sent, or a user of another type (TOK-06)."""

    def __init__(self, token: str) -> None:
        super().__init__(f"this call has no value for {{{{{token}}}}}")
        self.token = token


@dataclass(frozen=True, slots=True)
class Values:
    """What tokens stand for in one call."""

    context: Context
    today: date

    def of(self, token: str) -> str:
        """The value of what stands between the braces; NoValue where there is none."""
        if token.startswith("context."):
            return self._field(token)
        if token in USER_TOKENS:
            kind, _, identity = (self.context.user_id or "").rpartition("/")
            if not identity or kind.rpartition("/")[2] != USER_TOKENS[token]:
                raise NoValue(token)
            return identity
        moment = TODAY.fullmatch(token)
        if moment is None:
            raise NoValue(token)
        sign, days = moment.groups()
        try:
            return (self.today + timedelta(days=int(f"{sign}{days}") if sign else 0)).isoformat()
        except OverflowError as error:
            raise NoValue(token) from error

    def _field(self, token: str) -> str:
        attribute = _attributes(type(self.context)).get(token.removeprefix("context."))
        value = getattr(self.context, attribute) if attribute else None
        # Up to 2.0.1 only fields of the first level with a primitive value (TOK-04).
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise NoValue(token)
        return str(value)


def filled(template: str, values: Values) -> Query:
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
        raise NotAQuery
    return Search(path, tuple((name, _escaped(value, values)) for name, _, value in pairs))


def _plain(text: str, values: Values) -> str:
    return TOKEN.sub(lambda match: values.of(match[1]), text)


def _escaped(text: str, values: Values) -> str:
    """The template's own separators stay what they are, those in a value do not become any."""
    parts = TOKEN.split(text)
    parts[::2] = [unquote(literal) for literal in parts[::2]]
    parts[1::2] = [escaped(values.of(token)) for token in parts[1::2]]
    return "".join(parts)


@lru_cache(maxsize=64)
def _attributes(context: type[Struct]) -> dict[str, str]:
    return {each.encode_name: each.name for each in structs.fields(context)}
