"""What a card says about the patient as a whole: the finding that is compared with what was said before."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from cards.compose.genes import GENES_AND_MEDICATIONS
from cards.compose.high_alert import NOT_COVERED
from cards.compose.review import MEDICATION_REVIEW
from cards.extension import CardExtension, VaccineForecasts
from cds_hooks.protocol.hooks import ENCOUNTER_DISCHARGE

WORSE_SHARE: Final = 0.20
"""A number that moved so much for the worse speaks again: KDIGO 2024 (2.1.3) says so of the eGFR."""

FOLLOW_UP: Final = "follow-up after discharge"
"""The finding of every card that estimates who comes back after discharge, whichever score it names."""

_FALLING_IS_WORSE: Final = frozenset({"egfr"})
_OPEN: Final = "Not Complete"  # cards/vaccines/forecasting.py: a series that goes on


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is shown cards about whom, by which service at which hook."""

    client: str
    patient: str
    service: str
    hook: str


class PatientFinding(Struct, frozen=True, gc=False):
    """What a card is about and how bad it is: a band, a number, or the parts that it lists.

    `subject` is the name that a reason for silence has. `asks` says that the card only asks for a test, `reminds` that
    it only reminds of what is due (vaccines, preventive services), `once` that it is shown once and not at each opening
    of a day.
    """

    about: str
    subject: str
    band: str = ""
    number: float | None = None
    is_falling: bool = False
    parts: frozenset[str] = frozenset()
    asks: bool = False
    reminds: bool = False
    once: bool = False

    def is_worse_than(self, before: "PatientFinding") -> bool:
        """A higher band, a number that moved by more than a fifth for the worse, or a part that was not listed."""
        if not self.parts <= before.parts:
            return True
        if self.number is None or before.number is None:
            return False
        change = (before.number - self.number) if self.is_falling else (self.number - before.number)
        if change <= 0:
            return False
        return self.band != before.band or change > WORSE_SHARE * abs(before.number)


def patient_finding(said: CardExtension, hook: str) -> PatientFinding | None:
    """The finding of a card with this extension; None for the cards of orders, which have a memory of their own.

    The card of high-alert drugs that no rule is about is the one of orders that is remembered here: by its drugs.
    """
    if said.output == GENES_AND_MEDICATIONS:
        parts = frozenset(f"{one.rule} {one.band}" for one in said.findings)
        return PatientFinding(GENES_AND_MEDICATIONS, GENES_AND_MEDICATIONS, parts=parts)
    if said.output == MEDICATION_REVIEW:
        # A drug more in a finding that was said is worth saying again; the same drugs, no worse, rest.
        parts = frozenset(f"{one.rule} {one.band}" for one in said.findings)
        drugs = frozenset(str(fact.value) for fact in said.facts if fact.name == "draft")
        return PatientFinding(MEDICATION_REVIEW, MEDICATION_REVIEW, parts=parts | drugs)
    if said.findings:
        return None
    if said.output == NOT_COVERED:
        drugs = frozenset(str(fact.value) for fact in said.facts)
        return PatientFinding(NOT_COVERED, NOT_COVERED, parts=drugs, once=True)
    if said.vaccines is not None:
        doses = frozenset(_open_doses(said.vaccines))
        return PatientFinding("vaccines due", "vaccines-due", parts=doses, reminds=True)
    if said.preventive is not None:
        due = frozenset(f"{each.service} {each.because}" for each in said.preventive.services if each.state == "due")
        return PatientFinding("preventive services", "preventive-services", parts=due, reminds=True)
    model = said.model["id"] if said.model is not None else ""
    if hook == ENCOUNTER_DISCHARGE:
        return PatientFinding(FOLLOW_UP, model)
    if said.missing and said.probability is None and said.value is None:
        return PatientFinding(f"missing {','.join(said.missing)}", model, asks=True)
    if model:
        number = said.probability if said.probability is not None else said.value
        return PatientFinding(
            about=f"{model.removesuffix('_small').removesuffix('_early')} {said.output or ''}",
            subject=model,
            band=said.band["id"] if said.band else "",
            number=float(number) if isinstance(number, float | int) else None,
        )
    return _of_guideline(said)


def _of_guideline(said: CardExtension) -> PatientFinding | None:
    if said.output is None or not said.facts:
        return None
    fact = said.facts[0]
    return PatientFinding(
        about=said.output,
        subject=said.output,
        number=float(fact.value) if isinstance(fact.value, float | int) else None,
        is_falling=fact.name in _FALLING_IS_WORSE,
    )


def _open_doses(due: VaccineForecasts) -> Iterator[str]:
    """Each dose that may be given by now; one becomes another part on the day from which it is recommended."""
    for each in due.forecasts:
        if each.status == _OPEN and each.earliest is not None and each.earliest <= due.as_of:
            is_due = each.recommended is not None and each.recommended <= due.as_of
            yield f"{each.group} {each.dose} {'due' if is_due else 'possible'}"
