"""Reads what stands between the braces of a prefetch token, up to the FHIRPath subset of 3.0 (TOK-08 to TOK-18)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from fhir.record.resources import TYPES

CONTEXT: Final = "context"
USER_TOKENS: Final = {
    "userPractitionerId": "Practitioner",
    "userPractitionerRoleId": "PractitionerRole",
    "userPatientId": "Patient",
    "userRelatedPersonId": "RelatedPerson",
}
TOKEN: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")

_TODAY: Final = re.compile(r"today\(\)(?:\s*([+-])\s*(\d{1,6})\s*days?)?")
# The text of 3.0 writes both `context` and `%context` (TRAP-11); a key with other characters stands in backticks.
_ROOT: Final = re.compile(r"%?(context)(?=\.)|%(?:([A-Za-z_][\w-]*)|`([^`|]+)`)(?=\.)")
_STEP: Final = re.compile(
    r"\.(?:(?P<type>ofType)\(\s*(?P<of>[A-Za-z]+)\s*\)|(?P<resolve>resolve)\(\s*\)|(?P<member>_?[A-Za-z]\w*)(?!\s*\())"
)


class WrongToken(ValueError):
    """The token is not of the grammar; the message says what is wrong, with the row."""


@dataclass(frozen=True, slots=True)
class Member:
    """`.name`: an element, of every item of a list; of a choice (`medication[x]`) whichever is there."""

    name: str


@dataclass(frozen=True, slots=True)
class OfType:
    """`.ofType(Type)`: only resources of this type, and references to such."""

    type: str


@dataclass(frozen=True, slots=True)
class Resolve:
    """`.resolve()`: what a reference refers to."""


Step = Member | OfType | Resolve


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from the context, or from the answer to another key of the same service."""

    root: str
    """`context`, or the key; `is_key` tells a key of that name from it."""
    is_key: bool
    steps: tuple[Step, ...]

    @property
    def field(self) -> str | None:
        """The context field, where the path is nothing but that: all there was up to 2.0.1."""
        if self.is_key or len(self.steps) != 1:
            return None
        (step,) = self.steps
        return step.name if isinstance(step, Member) else None


@dataclass(frozen=True, slots=True)
class Today:
    """The day of the call, or so many days after it (before it where negative)."""

    days: int


@dataclass(frozen=True, slots=True)
class User:
    """The bare id of the user, where the user is a resource of this type."""

    type: str


@dataclass(frozen=True, slots=True)
class Union:
    """What any of the paths finds (TOK-17); one path is a union of one."""

    paths: tuple[Path, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys whose answers it reads, each once, as they are named."""
        return tuple(dict.fromkeys(path.root for path in self.paths if path.is_key))


Token = Today | User | Union


@lru_cache(maxsize=512)
def read_token(text: str) -> Token:
    """What a token means; WrongToken where it is outside the grammar.

    >>> read_token("today() - 90 days")
    Today(days=-90)
    >>> read_token("%orders.entry.resource.medication.resolve().id").keys
    ('orders',)
    """
    if text in USER_TOKENS:
        return User(USER_TOKENS[text])
    moment = _TODAY.fullmatch(text)
    if moment is not None:
        sign, days = moment.groups()
        return Today(int(f"{sign}{days}") if sign else 0)
    return Union(tuple(_path(part.strip()) for part in text.split("|")))


def needs_3(token: Token) -> bool:
    """Whether only clients of CDS Hooks 3.0 can be given it (TOK-19)."""
    if isinstance(token, Union):
        return len(token.paths) != 1 or token.paths[0].field is None
    return isinstance(token, Today)


def keys_in(query: str) -> tuple[str, ...]:
    """The keys that must be answered before this template can be filled; WrongToken where a token cannot be read."""
    tokens = (read_token(match[1]) for match in TOKEN.finditer(query))
    return tuple(dict.fromkeys(key for token in tokens if isinstance(token, Union) for key in token.keys))


def _path(text: str) -> Path:
    root = _ROOT.match(text)
    if root is None:
        raise WrongToken(f"TOK-02, TOK-03: {text} is no path from context. or from a %key")
    context, plain, quoted = root.groups()
    return Path(context or plain or quoted, context is None, tuple(_steps(text, root.end())))


def _steps(text: str, start: int) -> Iterator[Step]:
    while start < len(text):
        step = _STEP.match(text, start)
        if step is None:
            raise WrongToken(f"TOK-18: {text[start:]} is no element, ofType() or resolve()")
        start = step.end()
        if step["resolve"]:
            yield Resolve()
        elif step["type"]:
            if step["of"] not in TYPES:
                raise WrongToken(f"TOK-11: {step['of']} is no resource type")
            yield OfType(step["of"])
        else:
            yield Member(step["member"])
