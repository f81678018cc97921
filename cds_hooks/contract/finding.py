"""What a check yields: faults, or the reason why it could not be tried."""

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["must", "should"]
MUST: Final = "must"
SHOULD: Final = "should"


@dataclass(frozen=True, slots=True)
class Fault:
    """One breach: what was found, where in the document (`cards[0].summary`), and in the answer to which request.

    `row` is given where it is another than the first row of the check, such as the field of one hook.
    """

    found: str
    place: str = ""
    request: str = ""
    row: str = ""


class NotTested(Exception):
    """A check could not be tried on this server; the message says what was missing."""
