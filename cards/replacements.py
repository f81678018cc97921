"""Says for whom a drug must not be offered in place of another, or beside it, and which one is not given up.

`replacements.csv` has for each drug that any rule offers what excludes it: conditions by their key, words of the
draft's own reason or of the problem list, drugs that are taken, and the route of the draft. Every row only withholds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from cards.rules.patient.orders import DraftMedication
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
    return " ".join((drafted.text, *(reason.words for reason in as_needed if reason is not None)))


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


How = Literal["covered", "kept", "team", "tapered", "treats"]


class KeptDrug(Struct, frozen=True):
    """One row of `kept_drugs.csv`: drugs that a patient with one of `conditions` (none: everybody) goes on taking.

    `how`: "covered" is not ended for a warning while it is taken, "kept" not given up for a drug beside it, "team" is
    ended by those who treat the disease, "tapered" never stopped at once, "treats" not held until a result is back.
    Every row only withholds a suggestion.
    """

    keys: frozenset[str]
    atc: tuple[str, ...]
    how: How
    conditions: tuple[str, ...]
    why: str

    def names(self, medication: MedicationIdentity) -> bool:
        """Whether the drug is one of the row."""
        if not self.atc:
            return not self.keys.isdisjoint(medication.keys)
        codes = [code for ingredient in medication.ingredients for code in atc_codes(ingredient)]
        return not self.keys.isdisjoint(medication.keys) or any(code.startswith(self.atc) for code in codes)


def _kept_drug(row: Mapping[str, str]) -> KeptDrug:
    keys, atc, conditions = (tuple(filter(None, row[name].split("|"))) for name in ("keys", "atc", "conditions"))
    if unknown := [key for key in conditions if key not in CONDITION_GROUPS]:
        raise ValueError(f"kept_drugs.csv, {row['drugs']}: no condition has the key {', '.join(unknown)}")
    return msgspec.convert({**row, "keys": keys, "atc": atc, "conditions": conditions}, KeptDrug)


_KEPT_DRUGS: Final = tuple(map(_kept_drug, package_rows("cards", "kept_drugs.csv")))


def may_be_stopped(medication: MedicationIdentity) -> bool:
    """Whether an order of the drug can be stopped at once; others are tapered, and no order says how."""
    return not any(row.how == "tapered" and row.names(medication) for row in _KEPT_DRUGS)


def may_wait(medication: MedicationIdentity) -> bool:
    """Whether an order of the drug can be held until a result is back."""
    return not any(row.how == "treats" and row.names(medication) for row in _KEPT_DRUGS)


def why_kept(
    how: How, medication: MedicationIdentity, session: PatientSession, beside: Iterable[MedicationIdentity] = ()
) -> str | None:
    """Why the patient goes on with the drug; None where no row says so, or the row holds a drug `beside` it too."""
    rows = (row for row in _KEPT_DRUGS if row.how == how and row.names(medication) and not any(map(row.names, beside)))
    return next((row.why for row in rows if not row.conditions or any(map(session.condition, row.conditions))), None)


def why_unfit(offered: MedicationIdentity, session: PatientSession, drafted: DraftMedication) -> str | None:
    """Why the drug is not offered to this patient for this draft; None where no row is against it."""
    for rxcui in offered.rxcuis:
        for exclusion in EXCLUSIONS.get(rxcui, ()):
            if exclusion.holds(session, drafted):
                return exclusion.why
    return None
