"""What of the patient's data was not used and why, and the errors that stop a reader.

RecordError
└── WrongPatient      a resource is about somebody else: the call stops
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Refusal:
    """One resource or value that was not used.

    `subject` is the resource or the place in the request, `reason` a code for programs, `text` a sentence for a
    person. Of a measured value, `analyte` is its key (tables/analytes.csv), `code` its LOINC code and `statement` the
    sentence without the date; all three are empty for what is no measured value.
    """

    subject: str
    reason: str
    text: str
    analyte: str = ""
    code: str = ""
    statement: str = ""


class WhyNot(Struct, frozen=True, gc=False, omit_defaults=True):
    """Why there is no value, score, data or card.

    `subject` is what there would have been (a rule, a draft, a model, an input), `reason` a code for programs, `text` a
    sentence for a person, `about` the names of the inputs that are lacking, if any.
    """

    subject: str
    reason: str
    text: str
    about: tuple[str, ...] = ()


MOST_ALIKE = 5
"""How many refusals of the same kind for the same reason are named one by one."""


def shorten_refusals(refusals: Iterable[Refusal]) -> list[Refusal]:
    """Return the refusals in their order, of each kind and reason the first five; one more says how many were left out.

    A chart with thousands of results in an unknown unit would otherwise make an answer of megabytes.
    """
    named_refusals: list[Refusal] = []
    seen: Counter[tuple[str, str]] = Counter()
    for refusal in refusals:
        alike = refusal.analyte or refusal.subject.partition("/")[0], refusal.reason
        seen[alike] += 1
        if seen[alike] <= MOST_ALIKE:
            named_refusals.append(refusal)
    for (kind, reason), count in seen.items():
        if count > MOST_ALIKE:
            text = f"Not used for the same reason: {count - MOST_ALIKE} more ({kind})."
            named_refusals.append(Refusal(kind, reason, text))
    return named_refusals


class RecordError(Exception):
    """Facts that cannot be used."""


class WrongPatient(RecordError):
    """A resource is about another patient than the one asked about; `resource` says which, the message never who.

    The message goes back to whoever called, and an id may be anything: it says of which kind the resource is.
    """

    def __init__(self, resource: str) -> None:
        kind = resource.partition("/")[0]
        super().__init__(
            f"One {kind if kind.isalpha() else 'resource'} is about another patient than context.patientId; nothing "
            "was computed. Send only this patient's resources in prefetch."
        )
        self.resource = resource
