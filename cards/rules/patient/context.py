"""One drafted drug of one patient: what the conditions of a rule may ask."""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr

from cards.extension import Fact
from cards.rules.language.trigger import CompiledTrigger, Selector
from cards.rules.patient import measurements
from cards.rules.patient.measurements import ESTIMATES
from cards.rules.patient.orders import CurrentMedication, DraftMedication, is_beside
from cards.rules.patient.session import PatientSession
from cards.text import capitalized, format_dose, format_number, plain
from fhir.mapping.conditions import ConditionHit, doubted_conditions, doubtful_problems
from fhir.mapping.kidney import KidneyEstimate
from fhir.mapping.medications.active import (
    days_valid,
    orders_ever_taken,
    unreadable_medications,
    words_of_unreadable,
    written_at,
)
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.mapping.stays import is_inpatient
from fhir.record.datatypes import FhirTime
from fhir.record.record import PatientRecord, id_of_reference
from fhir.record.resources import Encounter
from fhir.terminology.medication_names import medication_of_code
from fhir.terminology.medications import RXNORM, Ingredient

_ADULT_MONTHS, _INFANT_MONTHS = 18 * 12, 24
# HL7 v3 ActCode: emergency, inpatient, observation, short stay.
_EMERGENCY = "EMER"
_HOSPITAL = frozenset({_EMERGENCY, "IMP", "ACUTE", "NONAC", "OBSENC", "SS"})
_TAKEN_AT_HOME = frozenset({"outpatient", "community", "discharge"})

_ESTIMATES = frozenset(ESTIMATES)
# The facts that are entries of the problem list where no key of the tables stands for them.
_PROBLEMS = frozenset({"condition", "problem"})
# What a missing number means to whoever entered the order: the attribute, the reason code, the sentence.
WITHOUT_DRUG = "without-drug"
"""What a condition uses that is based on a drug not being taken: a medication that cannot be read may be that drug."""
_NO_DRUG = frozenset({WITHOUT_DRUG, "childbearing"})
_UNKNOWN = {
    "each_dose": ("dose_mg", "dose-not-entered", "the dose is {not_entered}."),
    "frequency": ("times_per_day", "dose-not-entered", "the frequency is {not_entered}."),
    "duration": ("duration_days", "duration-not-entered", "the duration is {not_entered}."),
    "weight": ("weight_kg", "weight-missing", "no weight on record."),
    "age": ("age_years", "age-missing", "the age is not known."),
    "sex": ("sex", "sex-missing", "no sex on record."),
    "gestation": ("gestation_weeks", "gestation-unknown", "the week of pregnancy is not on record."),
}


# The numbers that say an age, with how many of each are a year.
_PER_YEAR: Final = {"age_years": 1, "age_months": 12}
_LONG_AGO_DAYS: Final = 730
ACTIVE_ORDER: Final = "Decide about the active order"
"""How the sentence begins that an order of the drafted drug goes on."""
"""A drug whose newest entry is older was perhaps forgotten on the list: the card asks first whether it is taken."""
RECENT_START_DAYS = 30.0
"""What began within so many days is new to the patient (README of the rule tables, partner_new)."""

_MICROGRAMS: Final = re.compile(r"\d ?(?:mcg|ug|µg|μg|mi[ck]rogram\w*)\b", re.IGNORECASE)
_MILLIGRAMS: Final = re.compile(r"\d ?m(?:ill?i)?g(?:ram\w*)?\b", re.IGNORECASE)
_MASS: Final = re.compile(rf"{_MICROGRAMS.pattern}|{_MILLIGRAMS.pattern}", re.IGNORECASE)


class RuleContext(Struct, frozen=True, eq=False):
    """The facts of one draft and of the ingredient in it that activated a rule. Numbers are None when not known.

    `partners` are the drugs of the other side of a pair that it stands before, the first of them the one that
    conditions ask about; with `fresh_only` kidney values that are too old count as unknown.
    """

    session: PatientSession
    drafted: DraftMedication
    ingredient: Ingredient
    fresh_only: bool = False
    partners: tuple[CurrentMedication, ...] = ()
    trigger: CompiledTrigger | None = None
    medication: MedicationIdentity = None  # type: ignore[assignment]  # that of the draft, set below
    """What is drafted."""
    age_years: int | None = None
    """Completed years of the patient, set below."""

    def __post_init__(self) -> None:
        """Take once what most conditions ask of the draft and of the patient."""
        force_setattr(self, "medication", self.drafted.medication)
        force_setattr(self, "age_years", self.session.age_years)

    # The order

    @property
    def daily_dose_mg(self) -> float | None:
        """Milligrams a day of the ingredient, the upper end of a range, the most that may be taken as needed."""
        return self.drafted.dose.most_a_day(self.ingredient.rxcui)

    @property
    def first_daily_mg(self) -> float | None:
        """Milligrams a day of the ingredient with which it begins, where the order says what it is raised to."""
        daily = self.drafted.dose.daily(self.ingredient.rxcui)
        return (daily.low or daily.high) if daily is not None and self.drafted.dose.is_raised else self.daily_dose_mg

    @property
    def times_per_day(self) -> float | None:
        """Doses a day on average."""
        return self.drafted.dose.times_per_day

    @property
    def duration_days(self) -> float | None:
        """How long it is to be taken, refills counted; a hospital's order without days lasts as long as it is valid.

        At home `validityPeriod` is the time in which a pharmacy may supply it, and says nothing of the course; but an
        order that is valid for hours is not a prescription for home.
        """
        stated = self.drafted.dose.duration_days
        if stated is not None:
            return stated
        valid = days_valid(self.drafted.order)
        return valid if valid is not None and (valid < 1.0 or self.is_hospital_order) else None

    @property
    def is_hospital_order(self) -> bool:
        """Whether it is ordered for a hospital or an emergency department: by its visit, its category, or the stay.

        What goes home is not, although the stay goes on.
        """
        if self.drafted.draft.goes_home or self.drafted.categories & _TAKEN_AT_HOME:
            return False
        record, order = self.session.record, self.drafted.order
        visit = id_of_reference(order.encounter.reference) if order.encounter is not None else ""
        of_visit = any(
            encounter.class_code in _HOSPITAL
            and (encounter.id == visit or (encounter.class_code == _EMERGENCY and encounter.status == "in-progress"))
            for encounter in record.facts(Encounter)
        )
        return of_visit or is_inpatient(record) or "inpatient" in self.drafted.categories

    @property
    def weekly_dose_mg(self) -> float | None:
        """Milligrams a week of the ingredient."""
        daily = self.daily_dose_mg
        return round(daily * 7.0, 6) if daily is not None else None

    @property
    def times_per_week(self) -> float | None:
        """Doses a week on average; those of one named day of the week count once."""
        times = self.drafted.dose.times_per_week
        return round(times, 6) if times is not None else None

    @property
    def dose_mg(self) -> float | None:
        """Milligrams of the ingredient in one dose, the upper end of a range."""
        single_dose = self.drafted.dose.per_dose_of(self.ingredient.rxcui)
        return single_dose.high if single_dose is not None else None

    @property
    def dose_mg_per_kg(self) -> float | None:
        """Milligrams of one dose for each kilogram."""
        return self._per_kg(self.dose_mg)

    @property
    def dose_mg_per_kg_per_day(self) -> float | None:
        """Milligrams a day for each kilogram."""
        return self._per_kg(self.daily_dose_mg)

    def _per_kg(self, milligrams: float | None) -> float | None:
        weight = self.weight_kg
        return milligrams / weight if milligrams is not None and weight else None

    @property
    def child_words(self) -> str:
        """ "The child is 3 years old and weighs 12.6 kg: 47.6 mg/kg a dose."; "" of an adult or without an age."""
        months = self.age_months
        if months is None or months >= _ADULT_MONTHS:
            return ""
        in_months = f"{int(months)} month{'' if 1 <= months < 2 else 's'}"
        age = in_months if months < _INFANT_MONTHS else f"{self.age_words} years"
        weight, per_kg = self.weight_kg, self.dose_mg_per_kg
        if weight is None:
            return f"The child is {age} old; no weight is known."
        dose = f": {format_number(per_kg, decimals=2)} mg/kg a dose" if per_kg is not None else ""
        return f"The child is {age} old and weighs {format_number(weight)} kg{dose}."

    @property
    def new_start(self) -> bool | None:
        """Whether the patient had no order of the ingredient in the last 180 days."""
        return self.session.is_new_start(self.ingredient, self.drafted)

    def drafted_fact(self) -> Fact:
        """Return the draft itself, with its date where it is an active order."""
        written = written_at(self.drafted.order) if self.session.active_orders else None
        return Fact(
            "draft",
            self.medication.plain_words,
            self.medication.name,
            effective=written.text if written is not None else None,
            source=self.drafted.draft.name,
        )

    # The patient

    @property
    def age_words(self) -> str | None:
        """The completed years for a reader: "83", or "83 or 84" where only the year of birth is on record."""
        ages = self.session.record.age_bounds()
        return " or ".join(map(str, dict.fromkeys(ages))) if ages is not None else None

    @property
    def age_months(self) -> float | None:
        """Completed months; in the first month the part of it that has passed: labels name days there."""
        return self.session.age_months

    @property
    def is_child(self) -> bool:
        """Whether the patient is surely under 18."""
        return self.session.is_child

    @property
    def sex(self) -> str | None:
        """Administrative sex."""
        return self.session.record.sex

    @property
    def weight_kg(self) -> float | None:
        """Weight; an adult's however old, a child's of the last 90 days."""
        weight = self.session.weight
        return weight.value if weight is not None else None

    @property
    def gestation_weeks(self) -> int | None:
        """Completed weeks of a pregnancy that is going on; None also where only a trimester is on record."""
        gestation = self.session.gestation
        return gestation.weeks if gestation is not None and gestation.weeks == gestation.most else None

    def bounds(self, word: str) -> tuple[float, float] | None:
        """Return between which values a number lies that is not known itself; None where nothing says so."""
        if word == "gestation_weeks":
            gestation = self.session.gestation
            return (gestation.weeks, gestation.most) if gestation is not None else None
        ages = self.session.record.age_bounds() if word in _PER_YEAR else None
        return None if ages is None else (_PER_YEAR[word] * ages[0], _PER_YEAR[word] * (ages[1] + 1) - 1)

    def has_condition(self, key: str) -> bool | None:
        """Whether the condition is on the list; None where the list is not known, so that its silence means nothing."""
        if self.session.condition(key) is not None:
            return True
        return False if self.session.knows_conditions else None

    def condition_facts(self, key: str) -> list[Fact]:
        """Return the condition with its date and source."""
        hit = self.session.condition(key)
        if hit is None:
            return []
        if (result := self.session.results_shown.get(key)) is not None:
            return [measurements.measurement_fact(result, measurements.dated(result))]
        return [hit_fact(key, hit)]

    def takes(self, selector: Selector) -> bool | None:
        """Whether such a drug is active or in another draft; None where no list came, so that it may be taken."""
        return True if self.current_medications(selector) else False if self.session.knows_medications else None

    def medication_facts(self, selector: Selector) -> list[Fact]:
        """Such drugs with their dates and sources."""
        return [
            medication_fact(medication, meant_name(selector, medication))
            for medication in self.current_medications(selector)
        ]

    def current_medications(self, selector: Selector) -> list[CurrentMedication]:
        """Such drugs that are active or in another draft."""
        return [medication for medication in self.session.selected(selector) if is_beside(medication, self.drafted)]

    # Laboratory

    def lab_value(self, analyte: str, max_age_days: float | None) -> float | None:
        """Return the newest usable value in its canonical unit; None where only a side of it is known, too."""
        measurement = self.session.lab(analyte, max_age_days)
        return measurement.value if measurement is not None and measurement.side is None else None

    def lab_facts(self, analyte: str, max_age_days: float | None, limits: Iterable[float] = ()) -> list[Fact]:
        """Return the newest usable value with its date and source, never rounded across a limit."""
        measurement = self.session.lab(analyte, max_age_days)
        return (
            [measurements.measurement_fact(measurement, measurements.dated(measurement, limits))]
            if measurement is not None
            else []
        )

    def estimate(self, name: str) -> KidneyEstimate | None:
        """Return an estimate of kidney function (one of ESTIMATES), also from a value too old unless `fresh_only`."""
        function = self.session.kidney(name)
        if isinstance(function, KidneyEstimate):
            return function
        return None if self.fresh_only else function.old

    def has_old_estimate(self, names: Iterable[str]) -> bool:
        """Whether one of these estimates is there only as a value too old."""
        return any(
            not isinstance(function := self.session.kidney(name), KidneyEstimate) and function.old is not None
            for name in names
        )

    def estimate_facts(self, name: str, limits: Iterable[float] = ()) -> list[Fact]:
        """Return the estimate, never rounded across a limit, and the measurements behind it."""
        estimate = self.estimate(name)
        return measurements.facts(estimate, limits) if estimate is not None else []

    def estimate_phrases(self, uses: Iterable[str]) -> list[str]:
        """Return the estimates among these facts, in words."""
        return [measurements.phrase(estimate) for estimate in self._estimates(uses)]

    def lacks_estimate(self, name: str) -> bool:
        """Whether kidney function should be known and is not; under 18 none is estimated."""
        function = self.session.kidney(name)
        return (
            not isinstance(function, KidneyEstimate) and function.reason != "under-18" and self.estimate(name) is None
        )

    def is_kidney_value_wanted(self) -> bool:
        """Whether a new value would give the estimate; without age or sex it would not."""
        function = self.session.kidney("egfr_best")
        return not isinstance(function, KidneyEstimate) and function.reason in ("missing", "stale")

    def is_beside(self, product: str, where: str) -> bool:
        """Whether the product's drug (RxNorm code) is another draft of this session or, with "any", active."""
        drug = medication_of_code(RXNORM, product)
        rxcuis = [ingredient.rxcui for ingredient in drug.ingredients] if drug is not None else []
        beside = self.session.medications_beside(self.drafted, rxcuis)
        return any(where == "any" or medication.drafted is not None for medication in beside)

    # Numbers as facts

    @property
    def is_in_micrograms(self) -> bool:
        """Whether the order gives its dose, or its product its strength, in micrograms and not in milligrams."""
        stated = [*(dosage.text for dosage in self.drafted.order.dosageInstruction), self.medication.words]
        units = [text for text in stated if text and _MASS.search(text)]
        return bool(units) and all(_MICROGRAMS.search(text) and not _MILLIGRAMS.search(text) for text in units)

    def mass_words(self, milligrams: float, limits: Iterable[float] = ()) -> str:
        """Return a dose in the unit of the order: "1,000 mcg" where it is written so, else "1 mg"."""
        if self.is_in_micrograms:
            return f"{format_dose(milligrams * 1000.0, [limit * 1000.0 for limit in limits])} mcg"
        return f"{format_dose(milligrams, limits)} mg"

    def number_facts(self, word: str, limits: Iterable[float] = ()) -> list[Fact]:
        """Return the number that a condition compared, as a fact."""
        if word == "weight_kg" and self.session.weight is not None:
            return [measurements.measurement_fact(self.session.weight, measurements.dated(self.session.weight, limits))]
        if word in ("age_years", "age_months") and (ages := self.session.record.age_bounds()) is not None:
            by_year = "" if self.age_years is not None else f"age {self.age_words} (from the year of birth)"
            return [Fact("age", by_year, ages[0], "a", source=f"Patient/{self.session.record.patient_id}")]
        if word in ("daily_dose_mg", "first_daily_mg") and (daily_mg := getattr(self, word)) is not None:
            text = f"{self.mass_words(daily_mg, limits)}/day"
            return [Fact("daily_dose", text, daily_mg, "mg/d", source=self.drafted.draft.name)]
        if word == "duration_days" and self.duration_days is not None:
            text = f"{format_number(self.duration_days, limits)} day{'' if self.duration_days == 1 else 's'}"
            return [Fact("duration", text, self.duration_days, "d", source=self.drafted.draft.name)]
        if word in ("dose_mg_per_kg", "dose_mg_per_kg_per_day"):
            value: float | None = getattr(self, word)
            unit = "mg/kg" if word == "dose_mg_per_kg" else "mg/kg/day"
            if value is None or self.session.weight is None:
                return []
            of = f"{format_number(value, limits)} {unit} at {measurements.dated(self.session.weight)}"
            return [Fact(word, of, value, unit, source=self.session.weight.source)]
        if word in ("times_per_week", "times_per_day"):
            often: float | None = getattr(self, word)
            a, unit = ("week", "/wk") if word == "times_per_week" else ("day", "/d")
            dose_text = (
                f"{format_number(often, limits)} dose{'' if often == 1 else 's'} a {a}" if often is not None else ""
            )
            return [Fact(word, dose_text, often, unit, source=self.drafted.draft.name)] if dose_text else []
        if word == "weekly_dose_mg" and self.weekly_dose_mg is not None:
            text = f"{self.mass_words(self.weekly_dose_mg, limits)}/week"
            return [Fact("weekly_dose", text, self.weekly_dose_mg, "mg/wk", source=self.drafted.draft.name)]
        if word == "gestation_weeks" and (gestation := self.session.gestation) is not None:
            return [Fact("gestation", f"week {gestation.week} now", gestation.weeks, "wk", source=gestation.source)]
        return []

    # How sure the facts are

    def is_doubtful(self, uses: Iterable[str]) -> bool:
        """Whether a kidney value among them is old or contradicted by another."""
        return not _ESTIMATES.isdisjoint(uses) and any(
            estimate.stale or estimate.disputed for estimate in self._estimates(uses)
        )

    def is_unstable_by(self, uses: frozenset[str]) -> bool:
        """Whether a finding on these facts is based on kidney function that is changing."""
        return not _ESTIMATES.isdisjoint(uses) and self.is_unstable

    def is_unsure(self, uses: Iterable[str], *, critical: bool) -> bool:
        """Whether a finding on these facts is shown one step lower: they are old, disputed or in doubt.

        A critical finding is lowered also where an eGFR is used in place of a creatinine clearance, and where a stage
        of kidney disease on the problem list stands for a value.
        """
        used = frozenset(uses)
        has_doubt = "condition:pregnancy" in used and self.session.pregnancy_doubt is not None
        if has_doubt or doubted_conditions(self.session.record, used):
            return True
        return self.is_doubtful(used) or (
            critical
            and any(estimate.instead_of_clearance or estimate.is_diagnosis for estimate in self._estimates(used))
        )

    def doubts_of(self, facts: Iterable[Fact]) -> tuple[str, ...]:
        """Sentences about the problems among these facts of a finding, where none of them is confirmed."""
        doubtful = doubtful_problems(self.session.record)
        if not doubtful:
            return ()
        sources = {fact.source or "" for fact in facts if fact.name in _PROBLEMS}
        if not sources <= doubtful.keys():
            return ()
        return tuple(f"{plain(doubtful[source][0])}: charted as {doubtful[source][1]}." for source in sorted(sources))

    def uncertain_partners(self) -> tuple[str, ...]:
        """Sentences about the partners of which the chart does not say whether they are taken, where all are such."""
        if not self.partners or not all(partner.is_uncertain for partner in self.partners):
            return ()
        names = dict.fromkeys(self._partner_name(partner) for partner in self.partners)
        return tuple(f"Ask whether {name} is taken: its entry in the chart does not say." for name in names)

    @property
    def is_doubtful_partner(self) -> bool:
        """Whether the first partner may be no longer taken."""
        return self.may_have_ended(self.partners[0])

    def may_have_ended(self, listed: CurrentMedication) -> bool:
        """Whether it may be no longer taken: its entry does not say, or is over two years old."""
        return listed.is_uncertain or self._old_entry(listed) is not None

    def asks_if_taken(self, facts: Iterable[Fact]) -> str:
        """Return a sentence about the drugs of these facts whose newest entry is over two years old; "" without one.

        The newest entry is the last order, statement or dispense of one of its ingredients that means it was taken.
        """
        sources = {fact.source for fact in facts if fact.name == "medication"}
        listed = [one for one in self.session.active if one.source in sources and not one.is_uncertain]
        if self.session.active_orders:
            listed.insert(0, CurrentMedication.of_draft(self.drafted))
        names = {one.medication.name: day for one in listed if (day := self._old_entry(one)) is not None}
        if len(names) == 1:
            ((name, day),) = names.items()
            since = next((one.since or "" for one in listed if one.medication.name == name), "")[:10]
            first = f", first on {since}" if since and since != day else ""
            return f"{capitalized(name)} was last recorded on {day}{first}: ask whether it is taken."
        dated_names = capitalized(" and ".join(f"{name} ({day})" for name, day in names.items()))
        return f"{dated_names} were last recorded long ago: ask whether they are taken." if names else ""

    def _old_entry(self, listed: CurrentMedication) -> str | None:
        record = self.session.record
        entries = (record.derive(_newest_entry, code) for code in listed.medication.rxcuis)
        newest = _latest((written_at(listed.order), *entries))
        is_old = newest is not None and newest.whole_days(record.as_of_epoch) > _LONG_AGO_DAYS
        return newest.date if newest is not None and is_old else None

    @property
    def gives_no_dose(self) -> bool:
        """Whether no dose may be derived: kidney function is unstable, replaced by dialysis or not measured."""
        estimate = self.session.any_egfr
        return estimate is not None and (estimate.unstable or estimate.method == "dialysis" or estimate.is_diagnosis)

    @property
    def is_unstable(self) -> bool:
        """Whether kidney function is changing, so that no estimate can be relied on."""
        return self.session.any_egfr is not None and self.session.any_egfr.unstable

    def notes(self, uses: Iterable[str]) -> list[str]:
        """Sentences about how sure the facts are."""
        used = frozenset(uses)
        sentences = [note for estimate in self._estimates(used) for note in measurements.notes(estimate)]
        if "lab:creatinine" in used or not _ESTIMATES.isdisjoint(used):
            sentences += self.session.unstable_notes
        if "condition:pregnancy" in used and self.session.pregnancy_doubt is not None:
            sentences.append(f"A pregnancy test on {self.session.pregnancy_doubt.time.date} was negative.")
        sentences += [
            f"{plain(doubted_condition.words)}: charted as {doubted_condition.doubt}."
            for doubted_condition in doubted_conditions(self.session.record, used)
        ]
        unreadable = unreadable_medications(self.session.record) if not _NO_DRUG.isdisjoint(used) else ()
        if unreadable:
            sentences.append(f"Not readable on the medication list: {words_of_unreadable(unreadable)}.")
        return list(dict.fromkeys(sentences))

    def running_note(self) -> str | None:
        """Return that the drug is on the active list already: whatever is done with the draft, that order goes on.

        None for a draft that ends the drug.
        """
        for medication in self.session.with_key(self.ingredient.rxcui) if not self.drafted.stops else ():
            if medication.draft is None and is_beside(medication, self.drafted):
                since = f" of {medication.since[:10]}" if medication.since else ""
                return f"{ACTIVE_ORDER} of {self.ingredient.name}{since} too."
        return None

    @property
    def not_entered(self) -> str:
        """What a sentence says of a part of the order that is not there: at signing nothing more is entered."""
        return "not stated" if self.session.signing else "not entered yet"

    def why_no_dose(self) -> tuple[str, str]:
        """Return the reason code and the sentence for a daily dose that is not known: not there, or not computable."""
        if not self.drafted.order.dosageInstruction:
            return "dose-not-entered", f"the dose is {self.not_entered}."
        return "dose-unknown", f"the daily dose cannot be computed: {self.drafted.dose.problem or 'not stated'}."

    def why_unknown(self, uses: Iterable[str]) -> tuple[str, str]:
        """Return the reason code and the sentence for what is not known."""
        used = frozenset(uses)
        for name in ESTIMATES:
            estimate = self.estimate(name) if name in used else None
            if name in used and estimate is None:
                return self.session.why_no_kidney_function(name)
            if estimate is not None and estimate.side is not None:
                return "kidney-function-not-exact", f"{measurements.phrase(estimate)} does not settle it."
        if "dose" in used and self.daily_dose_mg is None:
            return self.why_no_dose()
        if "active" in used and not self.session.knows_medications:
            return "medications-missing", "the medication list is not known."
        for use, (attribute, code, text) in _UNKNOWN.items():
            if use in used and getattr(self, attribute) is None:
                if use == "weight" and self.session.record.newest("body_weight") is not None:
                    return code, "the weight on record is too old for a child."
                if use == "weight" and not self.session.record.was_requested("body_weight"):
                    return code, "the weight did not come with the call."
                return code, text.format(not_entered=self.not_entered)
        if "conditions" in used and not self.session.knows_conditions:
            return "conditions-missing", "the problem list is not known."
        labs = sorted(measurements.name_of(use.removeprefix("lab:")) for use in used if use.startswith("lab:"))
        return "data-missing", f"not checked, no usable {' or '.join(labs) or 'value'}."

    def _estimates(self, uses: Iterable[str]) -> list[KidneyEstimate]:
        if _ESTIMATES.isdisjoint(uses):
            return []
        return [estimate for name in ESTIMATES if name in uses and (estimate := self.estimate(name)) is not None]

    # The other side of a pair

    def pair_has(self, selector: Selector) -> bool:
        """Whether the draft or the partner that is looked at is such a drug."""
        if selector.matches(self.medication):
            return True
        return bool(self.partners) and selector.matches(self.partners[0].medication)

    @property
    def pair_is_new(self) -> bool | None:
        """Whether the draft or the partner was begun in the last 30 days; a renewal is not a beginning."""
        answers = [self._is_recent(self.medication, self.drafted)]
        answers += [
            self._is_recent(partner.medication, partner.drafted)
            for partner in self.partners[:1]
            if partner.ended is None
        ]
        return True if True in answers else None if None in answers else False

    def _is_recent(self, medication: MedicationIdentity, drafted: DraftMedication | None) -> bool | None:
        if drafted is not None and drafted.order.priorPrescription is not None:
            return False
        return self.session.is_recent_start(medication, RECENT_START_DAYS)

    def partner_facts(self) -> list[Fact]:
        """Return the partners with their dates and sources, the name of the ingredient that is meant as the value."""
        return [medication_fact(partner, self._partner_name(partner)) for partner in self.partners]

    def partner_names(self) -> list[str]:
        """Return the ingredients of the partners that are meant, each once, in the order of the partners."""
        return list(dict.fromkeys(map(self._partner_name, self.partners)))

    def _partner_name(self, partner: CurrentMedication) -> str:
        if self.trigger is None or not self.trigger.sides:
            return partner.medication.name
        drafted_codes = self.medication.rxcuis
        for mine, partner_side in ((0, 1), (1, 0)):
            if self.trigger.members(mine, self.medication):
                partner_ingredients = [
                    member
                    for member in self.trigger.members(partner_side, partner.medication)
                    if member.rxcui not in drafted_codes
                ]
                if partner_ingredients:
                    return "/".join([ingredient.name for ingredient in partner_ingredients])
        return partner.medication.name

    def side_names(self, position: int) -> list[str]:
        """Return what stands on one side of the pair (0 or 1), by ingredient: the draft, or the partners."""
        if self.trigger is None or not self.partners:
            return []
        partner_members = self.trigger.members(1 - position, self.partners[0].medication)
        members = self.trigger.members(position, self.medication)
        if members and any(ingredient.rxcui not in self.medication.rxcuis for ingredient in partner_members):
            return [members[0].name]
        return self.partner_names()

    # Doses of a drug, drafted or active

    def drug_daily_mg(self, rxcui: str) -> float | None:
        """Milligrams a day of a drug: of the drafted order, else the most of one active order; 0 if nobody takes it."""
        if self.medication.has(rxcui):
            return self.drafted.dose.most_a_day(rxcui)
        doses = [
            self._daily_of(medication, rxcui) for medication in self.session.medications_beside(self.drafted, (rxcui,))
        ]
        if not doses:
            return 0.0 if self.session.knows_medications else None
        known_doses = [dose for dose in doses if dose is not None]
        return max(known_doses) if len(known_doses) == len(doses) else None

    def _daily_of(self, medication: CurrentMedication, rxcui: str) -> float | None:
        daily_mg = medication.dose.most_a_day(rxcui)
        if daily_mg is not None:
            return daily_mg
        if medication.drafted is not None or medication.dose.certainty != "unknown":
            return None
        if medication.order.dosageInstruction:
            return None
        # The rule tables: an active order without a dosage counts as one unit of its product a day.
        for ingredient, strength in zip(
            medication.medication.ingredients, medication.medication.strengths, strict=True
        ):
            if ingredient.rxcui == rxcui and strength is not None and strength.per == "unit":
                return strength.milligrams
        return None

    def drug_facts(self, rxcui: str) -> list[Fact]:
        """Every order of the drug beside the draft, with its date, source and daily dose."""
        beside = self.session.medications_beside(self.drafted, (rxcui,))
        return [dose_fact(medication, self._daily_of(medication, rxcui)) for medication in beside]


def _newest_entry(record: PatientRecord, rxcui: str) -> FhirTime | None:
    """Return the date of the newest entry of the ingredient, found once: it is asked of each entry of a drug."""
    return _latest(map(written_at, orders_ever_taken(record, rxcui)))


def _latest(times: Iterable[FhirTime | None]) -> FhirTime | None:
    return max(filter(None, times), key=lambda time: time.instant, default=None)


def hit_fact(name: str, hit: ConditionHit) -> Fact:
    """Return an entry of the problem list with its date and source, its code or words as the value."""
    date = hit.time.text if hit.time is not None else None
    return Fact(name, plain(hit.words), hit.code or hit.words, effective=date, source=hit.source)


def medication_fact(medication: CurrentMedication, name: str, more: str = "") -> Fact:
    """`name` is what stands in a sentence; the text has the chart's words."""
    ended = f" (ended {medication.ended.date})" if medication.ended is not None else ""
    words = f"{medication.medication.plain_words}{more}{ended}"
    return Fact("medication", words, name, effective=medication.since, source=medication.source)


def dose_fact(medication: CurrentMedication, daily_mg: float | None) -> Fact:
    """Return a medication with its milligrams a day, where they are known."""
    dose = f", {format_dose(daily_mg)} mg/day" if daily_mg is not None else ""
    return medication_fact(medication, medication.medication.name, dose)


def meant_name(selector: Selector, medication: CurrentMedication) -> str:
    """Return the ingredients of the medication that the selector means."""
    return "/".join(part.name for part in selector.members(medication.medication)) or medication.medication.name
