"""Says what the rules of a drug looked for, and what of it is not known: silence about the drug means no more.

The sentence is a list of things that are looked for (`_looked_for`), in the order in which they are said.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from cards.rules.conditions.words.patient import SIGNING
from cards.rules.engine.compile import CompiledRule
from cards.rules.language.trigger import Activation, is_test
from cards.rules.patient.measurements import ESTIMATES
from cards.rules.patient.orders import DraftMedication
from cards.text import capitalized, decapitalized, first_few, plain
from fhir.mapping.conditions import count_unread, unread_problems
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.record.measurement import GENOMICS
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS

_ADULT_YEARS: Final = 18
_MOST_VALUES: Final = 6
_MOST_CONDITIONS: Final = 4
_DOSE: Final = "dose"
_FREQUENCY: Final = "frequency"


class _LookedFor(NamedTuple):
    """One thing that the rules of a drug look for."""

    words: str
    gap: str
    """What it is called where it is not known."""
    sources: tuple[str, ...] = ()
    """Resource types and analytes of which one must have been asked for; none for what the draft says."""
    ages: tuple[range, ...] = ()
    """The ages in years that the limits of a dose are for; empty where they are for every age."""

    def state(self, drafted: DraftMedication, record: PatientRecord) -> str | None:
        """Return what is said to have been looked for; "" where what it needs did not come with the call.

        None where no limit of a dose is for the patient's age. A child without limits is measured by the adult's.
        """
        dose = drafted.dose if not self.sources else None
        if dose is None:
            is_known = record.requested is None or not record.requested.isdisjoint(self.sources)
        elif self.words == _FREQUENCY:
            is_known = dose.times_per_day is not None
        else:
            is_known = bool(dose.per_day or dose.per_dose or dose.activity or dose.least_per_dose)
        age = record.age_years() if is_known and self.ages else None
        if age is None or any(age in years for years in self.ages):
            return self.words if is_known else ""
        is_of_adult = age < _ADULT_YEARS and any(_ADULT_YEARS in years for years in self.ages)
        return f"{self.words} (by the adult's maximum)" if is_of_adult else None


_LISTS: Final = ("MedicationRequest", "MedicationStatement")
_PROBLEMS: Final = ("Condition",)
_VALUES: Final = {key: _LookedFor(analyte.words, analyte.words, (key,)) for key, analyte in ANALYTES.items()}


class Scope(NamedTuple):
    """What the rules of a drug ask, whoever the patient is."""

    parts: tuple[_LookedFor, ...]
    has_own_rules: bool
    """Whether a rule is about the drug itself and not about any drug."""
    more_at_signing: bool

    @classmethod
    def of(
        cls, activated: Iterable[tuple[CompiledRule, Activation]], medication: MedicationIdentity, *, signing: bool
    ) -> "Scope":
        """Return what these rules ask, which the medication activates."""
        pairs = [pair for pair in activated if not pair[1].is_local and _rows(pair[0], medication)]
        specific = [rule for rule, _ in pairs if not rule.trigger.is_for_any]
        alone = [rule for rule, activation in pairs if activation.alone]
        parts = tuple(_looked_for(specific, alone, medication, signing=signing))
        more_at_signing = not signing and any(SIGNING in rule.band_uses for rule in alone)
        return cls(parts, bool(specific), more_at_signing)

    def silence(self, drafted: DraftMedication, record: PatientRecord) -> WhyNot:
        """Return what was looked for about a draft (partners, conditions, values, dose), and what is not known.

        What did not come with the call is not said to have been looked for, nor are the values of a rule about a pair,
        nor what is only checked at signing.
        """
        states = [(part.state(drafted, record), part) for part in self.parts]
        looked = list(dict.fromkeys([state for state, _ in states if state]))
        gaps = list(dict.fromkeys([part.gap for state, part in states if state == ""]))
        unread = unread_problems(record) if [part for part in self.parts if part.sources == _PROBLEMS] else ()
        sentences = [
            f"looked for {', '.join(looked) or 'nothing'}.",
            "" if self.has_own_rules else "No rule is about this drug itself.",
            "" if drafted.medication.classes or is_test(drafted.medication) else "Its class is not known here.",
            f"Not known: {' and '.join(gaps)}." if gaps else "",
            "The rest is checked when the order is signed." if self.more_at_signing else "",
            f"{capitalized(count_unread(len(unread)))}." if unread else "",
        ]
        text = " ".join(filter(None, sentences))
        return WhyNot(drafted.draft.name, "scope", f"{plain(drafted.medication.name)}: {text}")


def _looked_for(
    specific: list[CompiledRule], alone: list[CompiledRule], medication: MedicationIdentity, *, signing: bool
) -> Iterator[_LookedFor]:
    """Yield what rules about the drug (`specific`) and rules that need no partner (`alone`) look for."""
    uses: frozenset[str] = frozenset().union(*(_uses_now(rule, signing) for rule in alone))
    of_test, of_end = is_test(medication), any(rule.trigger.stops for rule in specific)
    if of_end:
        yield _LookedFor("harm by an abrupt end", "medication list", _LISTS)
    elif not of_test or "allergies" in uses:
        yield _LookedFor("allergy", "allergy list", ("AllergyIntolerance",))
    if not of_test and not of_end:
        yield _LookedFor("duplicates", "medication list", _LISTS)
    elif any("active" in rule.band_uses for rule in alone):
        yield _LookedFor("medications", "medication list", _LISTS)
    of_pairs = (rule for rule in specific if rule.trigger.sides or not any(band.speaks_alone for band in rule.bands))
    if pairs := sum(_rows(rule, medication) for rule in of_pairs):
        yield _LookedFor(_counted(pairs, "interaction"), "medication list", _LISTS)
    if conditions := _conditions(uses):
        yield _LookedFor(conditions, "problem list", _PROBLEMS)
    if not uses.isdisjoint(ESTIMATES):
        yield _LookedFor("kidney function", "kidney function", ("creatinine", "egfr"))
    values = [_VALUES[use[4:]] for use in uses if use.startswith("lab:")]
    yield from sorted(values, key=lambda part: part.words)[:_MOST_VALUES]
    if "genes" in uses:
        yield _LookedFor("genes", "genetic results", (GENOMICS,))
    # A rule about any drug adds up doses; a limit for this one is not among its knowledge.
    # The dose of a drug is judged as such by the rules with a table of limits; others ask for it in their own cases.
    if of_dose := [rule for rule in alone if rule.id in rule.family.covers and "dose" in rule.band_uses]:
        ages = [rule.family.ages[rule.id](medication) if rule.id in rule.family.ages else () for rule in of_dose]
        yield _LookedFor(_DOSE, _DOSE, ages=tuple(chain.from_iterable(ages)) if all(ages) else ())
    if any("frequency" in _uses_now(rule, signing) for rule in alone if not rule.trigger.is_for_any):
        yield _LookedFor(_FREQUENCY, _FREQUENCY)


def _uses_now(rule: CompiledRule, signing: bool) -> frozenset[str]:
    """Return what the bands use that can speak now of the drug alone; some wait until the order is signed."""
    judged = (band.when.uses for band in rule.bands if band.speaks_alone)
    return frozenset().union(*(uses for uses in judged if signing or SIGNING not in uses))


def _conditions(uses: frozenset[str]) -> str:
    """Return the conditions by their names, and those of the codes that a rule names itself; "" without any."""
    keys = (use.removeprefix("condition:") for use in uses if use.startswith("condition:"))
    names = sorted(_in_sentence(CONDITION_GROUPS[key].meaning) if key in CONDITION_GROUPS else key for key in keys)
    names += ["others by their codes"] if "conditions" in uses and "problem" in uses else []
    listed = f" ({first_few(names, _MOST_CONDITIONS)})"
    return _counted(len(names), "condition") + listed if names else ""


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}"


# "COPD", "Hodgkin's disease" and "Wolff-Parkinson-White syndrome" keep their capital within a sentence.
_NAMES: Final = re.compile(r"[A-Z]{2}|\w+'|\w+-[A-Z]")


def _in_sentence(meaning: str) -> str:
    return meaning if _NAMES.match(meaning) else decapitalized(meaning)


def _rows(rule: CompiledRule, medication: MedicationIdentity) -> int:
    """How much of the rule's knowledge is about the medication; 1 for a rule without a table."""
    covers = rule.family.covers.get(rule.id)
    return covers(medication) if covers is not None else 1
