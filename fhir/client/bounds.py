"""How much is read from a FHIR server at most."""

from dataclasses import dataclass

# What a GET may hold is not written anywhere; proxies and servers cut between 2,000 and 8,000 characters.
LONGEST_URL = 1800


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one query: pages of its search, and bytes of all of them together."""

    pages: int = 20
    bytes: int = 10 * 1024 * 1024
