"""Why the dose of an order is not known: a reason for programs and a sentence for a person."""

from typing import Literal, TypeAlias

from msgspec import Struct

ProblemReason: TypeAlias = Literal["not-stated", "contradiction", "no-weight", "unclear"]


class DoseProblem(Struct, frozen=True, gc=False):
    """Why a daily dose is not known; `text` completes the sentence "The daily dose cannot be computed: …".

    `reason` is "not-stated" where the order leaves it open, so that a quantity and the days it lasts may tell it;
    "contradiction" where code and repeat differ; "no-weight" where the dose is for each kilogram and no weight is
    known; "unclear" for everything else.
    """

    text: str
    reason: ProblemReason = "unclear"

    def __str__(self) -> str:
        """The text alone."""
        return self.text


NO_DOSAGE = DoseProblem("no dosage instruction", "not-stated")
NO_DOSE = DoseProblem("the dose is not stated", "not-stated")
NO_FREQUENCY = DoseProblem("the frequency is not stated", "not-stated")
AS_NEEDED_WITHOUT_FREQUENCY = DoseProblem("as needed without a frequency", "not-stated")
LEFT_OPEN = DoseProblem("the words leave the dose open", "not-stated")
CONTRADICTION = DoseProblem("timing code and repeat contradict each other", "contradiction")
NO_WEIGHT = DoseProblem("the dose is for each kilogram and no weight is known", "no-weight")
