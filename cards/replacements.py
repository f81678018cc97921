"""Says for whom a drug must not be offered in place of another, or beside it, and which one no button ends.

`replacements.csv` has for each drug that any rule offers what excludes it: conditions by their key, words of the
draft's own reason or of the problem list, drugs that are taken, and the route of the draft. Every row only withholds.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal, get_args

from msgspec import Struct

from cards.rules.patient.orders import DraftMedication, order_text
from cards.rules.patient.session import PatientSession
from fhir.mapping.conditions import condition_status
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.resources import Condition
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import atc_codes
from fhir.terminology.package_tables import package_rows

Kind = Literal["condition", "reason", "draft_reason", "taken", "route"]


class Exclusion(Struct, frozen=True):
    """One row: what excludes the drug; `unless` is a condition with which `values` do not count."""

    kind: Kind
    values: tuple[str, ...]
    unless: str
    why: str
    words: re.Pattern[str]

    def holds(self, session: PatientSession, drafted: DraftMedication) -> bool:
        """Whether it excludes the drug for this patient with this draft."""
        if self.unless and session.condition(self.unless) is not None:
            return False
        match self.kind:
            case "condition":
                return any(session.condition(key) is not None for key in self.values)
            case "taken":
                return bool(session.medications_beside(drafted, self.values))
            case "route":
                return drafted.medication.is_injected
            case "draft_reason":
                return self.words.search(_reason(drafted)) is not None
            case "reason":
                texts = (_reason(drafted), *_problems(session))
                return any(self.words.search(text) is not None for text in texts)


def _reason(drafted: DraftMedication) -> str:
    """Return what the draft says that it is for, with the words of its instructions."""
    as_needed = (dosage.asNeededCodeableConcept for dosage in drafted.order.dosageInstruction)
    return " ".join((order_text(drafted.order), *(reason.words for reason in as_needed if reason is not None)))


def _problems(session: PatientSession) -> Iterator[str]:
    """Yield the words of the problems that are not over."""
    record = session.record
    for problem in record.facts(Condition):
        if problem.code is not None and condition_status(problem, record.as_of_epoch) != "past":
            yield problem.code.words


def _exclusion(row: Mapping[str, str]) -> Exclusion:
    kind: Kind = next(name for name in get_args(Kind) if name == row["kind"])
    values = tuple(row["values"].split("|"))
    keys = (*values, row["unless"]) if kind == "condition" else (row["unless"],)
    if unknown := [key for key in keys if key and key not in CONDITION_GROUPS]:
        raise ValueError(f"replacements.csv, {row['drug']}: no condition has the key {', '.join(unknown)}")
    return Exclusion(
        kind, values, row["unless"], row["why"], re.compile(rf"\b(?:{'|'.join(map(re.escape, values))})", re.IGNORECASE)
    )


def _read() -> Mapping[str, tuple[Exclusion, ...]]:
    by_drug: dict[str, tuple[Exclusion, ...]] = {}
    for row in package_rows("cards", "replacements.csv"):
        by_drug[row["rxcui"]] = (*by_drug.get(row["rxcui"], ()), _exclusion(row))
    return by_drug


EXCLUSIONS: Final = _read()
"""The rows by the RxNorm code of the ingredient that is offered."""


# Who treats the disease ends its treatment, whatever a label says of the drug without it. This can only withhold.
_TEAMS: Final = (
    (("L01", "L02"), ("cancer_pain_or_active_cancer", "cancer_any", "cancer_of_blood"), "cancer"),
    (("L04", "H02"), ("transplant", "transplant_other"), "transplant"),
    (("J05AE", "J05AF", "J05AG", "J05AJ", "J05AR"), ("hiv",), "HIV infection"),
)
"""ATC groups of drugs, the conditions that they treat, and whose treatment it is."""


def why_not_ended(medication: MedicationIdentity, session: PatientSession) -> str | None:
    """Why no suggestion ends what is taken of the drug: it treats a disease of a team of its own."""
    codes = [code for ingredient in medication.ingredients for code in atc_codes(ingredient)]
    for groups, conditions, disease in _TEAMS:
        if any(code.startswith(groups) for code in codes) and session.has_any(conditions):
            return f"it can be the treatment of the {disease}, which the team that treats it ends"
    return None


def why_unfit(offered: MedicationIdentity, session: PatientSession, drafted: DraftMedication) -> str | None:
    """Why the drug is not offered to this patient for this draft; None where no row is against it."""
    for rxcui in offered.rxcuis:
        for exclusion in EXCLUSIONS.get(rxcui, ()):
            if exclusion.holds(session, drafted):
                return exclusion.why
    return None
