"""What is asked of a FHIR server: a read or a type-level search, built from parts, and how much is read at most."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from msgspec import Struct

from fhir.client.errors import InvalidQuery

# What a GET may hold is not written anywhere; proxies and servers cut between 2,000 and 8,000 characters.
LONGEST_URL = 1800


class FetchLimits(Struct, frozen=True):
    """The limits of one query: pages of a search, and bytes of all pages together."""

    pages: int = 20
    bytes: int = 10 * 1024 * 1024


_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}")
_NAME = re.compile(r"_?[a-z][a-z-]{0,63}(?::[a-z-]{1,32})?")
# They would end the path's segment or leave it. An id is otherwise taken as it comes: real ones are longer than FHIR
# allows and hold other characters (checklist, TRAP-35).
_NOT_IN_AN_ID = re.compile(r"[/\\?#%;\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Read:
    """A read of one resource by its id. Raises InvalidQuery where type or id could mean another address."""

    type: str
    id: str

    def __post_init__(self) -> None:
        if not _TYPE.fullmatch(self.type) or not self.id.strip(". ") or _NOT_IN_AN_ID.search(self.id):
            raise InvalidQuery

    @property
    def path(self) -> str:
        """The path relative to the base address."""
        return f"{self.type}/{quote(self.id, safe='')}"


@dataclass(frozen=True, slots=True)
class Search:
    """A search on one type; values are as FHIR wants them (`escaped`), not yet as an address wants them."""

    type: str
    parameters: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not _TYPE.fullmatch(self.type) or not all(_NAME.fullmatch(name) for name, _ in self.parameters):
            raise InvalidQuery

    @property
    def form(self) -> str:
        """The parameters, encoded for an address or for the body of a POST."""
        return "&".join(f"{quote(name, safe=':')}={quote(value, safe=':/,')}" for name, value in self.parameters)

    @property
    def path(self) -> str:
        """The path and query relative to the base address, for a GET."""
        return f"{self.type}?{self.form}"

    @property
    def is_long(self) -> bool:
        """Whether it has to be sent by POST: an expanded value set does not fit an address."""
        return len(self.path) > LONGEST_URL


Query = Read | Search


def escaped(value: str) -> str:
    r"""Return a value with FHIR's own separators escaped (R4, search, section 3.1.1.5.7), so that it stays one value.

    >>> escaped("a,b|c")
    'a\\,b\\|c'
    """
    return re.sub(r"([\\,|$])", r"\\\1", value)
