"""One drafted drug in front of one patient: what the conditions of a rule may ask."""

from collections.abc import Iterable

from cards.markdown import plain
from cards.rules import kidney, measured
from cards.rules.chart import Chart, Taken
from cards.rules.drafted import Drafted
from cards.rules.fact import Fact
from cards.rules.figures import show
from cards.rules.kidney import ESTIMATES
from cards.rules.rule import LabOrder
from cards.rules.selector import Selector
from fhir.mapping.kidney import KidneyEstimate
from fhir.mapping.medications import Identity
from fhir.terminology.medications import Ingredient

# What a missing number means to whoever entered the order: the attribute, the reason code, the sentence.
_UNKNOWN = {
    "frequency": ("times_per_day", "dose-not-entered", "the frequency is not entered yet."),
    "duration": ("duration_days", "duration-not-entered", "the duration is not entered yet."),
    "weight": ("weight_kg", "weight-missing", "no weight on record."),
    "age": ("age_years", "age-missing", "no birth date on record."),
    "sex": ("sex", "sex-missing", "no sex on record."),
    "gestation": ("gestation_weeks", "gestation-unknown", "the week of pregnancy is not on record."),
}


class Situation:
    """The facts of one draft and of the ingredient in it that woke a rule. Numbers are None when they are not known.

    With `fresh_only` kidney values that are too old count as unknown.
    """

    __slots__ = ("chart", "drafted", "fresh_only", "ingredient")

    def __init__(self, chart: Chart, drafted: Drafted, ingredient: Ingredient, *, fresh_only: bool = False) -> None:
        self.chart = chart
        self.drafted = drafted
        self.ingredient = ingredient
        self.fresh_only = fresh_only

    def with_fresh_values_only(self) -> "Situation":
        """The same with old kidney values counted as unknown."""
        return Situation(self.chart, self.drafted, self.ingredient, fresh_only=True)

    # The order

    @property
    def medication(self) -> Identity:
        """What is drafted."""
        return self.drafted.medication

    @property
    def daily_dose_mg(self) -> float | None:
        """Milligrams a day of the ingredient, the upper end of a range, the most that may be taken as needed."""
        daily = self.drafted.dose.daily(self.ingredient.rxcui)
        return daily.high if daily is not None else None

    @property
    def times_per_day(self) -> float | None:
        """Doses a day on average."""
        return self.drafted.dose.times_per_day

    @property
    def duration_days(self) -> float | None:
        """How long it is to be taken, refills counted."""
        return self.drafted.dose.duration_days

    @property
    def is_single_dose(self) -> bool:
        """Whether it is one dose in all."""
        return self.drafted.dose.single

    @property
    def new_start(self) -> bool | None:
        """Whether the patient had no order of the ingredient in the last 180 days."""
        return self.chart.is_new_start(self.ingredient, self.drafted)

    def drafted_fact(self) -> Fact:
        """The draft itself."""
        return Fact("draft", plain(self.medication.words), self.medication.name, source=self.drafted.draft.name)

    # The patient

    @property
    def age_years(self) -> int | None:
        """Completed years."""
        return self.chart.record.age_years()

    @property
    def sex(self) -> str | None:
        """Administrative sex."""
        return self.chart.record.sex

    @property
    def weight_kg(self) -> float | None:
        """Weight; an adult's however old, a child's of the last 90 days."""
        weight = self.chart.weight
        return weight.value if weight is not None else None

    @property
    def gestation_weeks(self) -> int | None:
        """Completed weeks of a pregnancy that is going on."""
        return self.chart.gestation_weeks

    def has_condition(self, key: str) -> bool | None:
        """Whether the condition is on the list; None where the list is not known, so that its silence means nothing."""
        if self.chart.condition(key) is not None:
            return True
        return False if self.knows_conditions else None

    @property
    def knows_conditions(self) -> bool:
        """Whether the problem list was asked for."""
        return self.chart.record.knows("Condition")

    def condition_facts(self, key: str) -> list[Fact]:
        """The condition with its date and source."""
        hit = self.chart.condition(key)
        if hit is None:
            return []
        date = hit.time.text if hit.time is not None else None
        return [Fact(key, plain(hit.words), hit.code, effective=date, source=hit.source)]

    def takes(self, selector: Selector) -> bool:
        """Whether such a drug is active or in another draft."""
        return bool(self._taken(selector))

    def taken_facts(self, selector: Selector) -> list[Fact]:
        """Such drugs with their dates and sources."""
        return [
            Fact("medication", one.medication.name, plain(one.medication.words), effective=one.since, source=one.source)
            for one in self._taken(selector)
        ]

    def _taken(self, selector: Selector) -> list[Taken]:
        found = self.chart.taken_beside(self.drafted, selector.keys)
        return [one for one in found if selector.matches(one.medication)]

    def is_allergic_to_ingredient(self, rxcui: str) -> bool:
        """Whether an allergy to the ingredient is on the list."""
        return self.chart.is_allergic_to_ingredient(rxcui)

    def is_allergic_to_class(self, name: str) -> bool:
        """Whether an allergy to the class or a member of it is on the list."""
        return self.chart.is_allergic_to_class(name)

    # Laboratory

    def lab_value(self, analyte: str, max_age_days: float | None) -> float | None:
        """The newest usable value in its canonical unit."""
        measurement = self.chart.lab(analyte, max_age_days)
        return measurement.value if measurement is not None else None

    def lab_facts(self, analyte: str, max_age_days: float | None, limits: Iterable[float] = ()) -> list[Fact]:
        """The newest usable value with its date and source, never rounded across a limit."""
        measurement = self.chart.lab(analyte, max_age_days)
        return [measured.as_fact(measurement, measured.dated(measurement, limits))] if measurement is not None else []

    def estimate(self, name: str) -> KidneyEstimate | None:
        """An estimate of kidney function (a name of ESTIMATES), unless `fresh_only` also from a value too old."""
        found = self.chart.kidney(name)
        if isinstance(found, KidneyEstimate):
            return found
        return None if self.fresh_only else found.old

    def estimate_value(self, name: str) -> float | None:
        """The estimate as a number."""
        estimate = self.estimate(name)
        return estimate.value if estimate is not None else None

    def estimate_facts(self, name: str, limits: Iterable[float] = ()) -> list[Fact]:
        """The estimate, never rounded across a limit, and the measurements behind it."""
        estimate = self.estimate(name)
        return kidney.facts(estimate, limits) if estimate is not None else []

    def estimate_phrases(self, uses: Iterable[str]) -> list[str]:
        """The estimates among these facts, in words."""
        return [kidney.phrase(estimate) for estimate in self._estimates(uses)]

    def lacks_estimate(self, name: str) -> bool:
        """Whether kidney function should be known and is not; under 18 none is estimated."""
        found = self.chart.kidney(name)
        return not isinstance(found, KidneyEstimate) and found.reason != "under-18" and self.estimate(name) is None

    def is_kidney_value_wanted(self) -> bool:
        """Whether a new value would give the estimate; without age or sex it would not."""
        found = self.chart.kidney("egfr_best")
        return not isinstance(found, KidneyEstimate) and found.reason in ("missing", "stale")

    def is_ordered(self, order: LabOrder, where: str) -> bool:
        """Whether the test is among the drafts of this session or, with "any", the active orders of the record."""
        return self.chart.is_ordered(order, where)

    # Numbers as facts

    def number_facts(self, word: str, limits: Iterable[float] = ()) -> list[Fact]:
        """The number that a condition compared, as a fact."""
        if word == "weight_kg" and self.chart.weight is not None:
            return [measured.as_fact(self.chart.weight, measured.dated(self.chart.weight, limits))]
        if word == "age_years" and self.age_years is not None:
            return [Fact("age", "", self.age_years, "a", source=self.chart.patient_reference)]
        if word == "daily_dose_mg" and self.daily_dose_mg is not None:
            text = f"{show(self.daily_dose_mg, limits)} mg/day"
            return [Fact("daily_dose", text, self.daily_dose_mg, "mg/d", source=self.drafted.draft.name)]
        if word == "duration_days" and self.duration_days is not None:
            text = f"{show(self.duration_days, limits)} days"
            return [Fact("duration", text, self.duration_days, "d", source=self.drafted.draft.name)]
        if word == "gestation_weeks" and self.gestation_weeks is not None:
            hit = self.chart.condition("pregnancy")
            source = hit.source if hit is not None else None
            return [Fact("gestation", f"week {self.gestation_weeks}", self.gestation_weeks, "wk", source=source)]
        return []

    # How sure the facts are

    def is_doubtful(self, uses: Iterable[str]) -> bool:
        """Whether a kidney value among them is old or contradicted by another."""
        return any(one.stale or one.disputed for one in self._estimates(uses))

    def is_unsure(self, uses: Iterable[str], *, critical: bool) -> bool:
        """Whether what rests on them is said one step lower; a critical finding also where eGFR stands in for CrCl."""
        used = frozenset(uses)
        return self.is_doubtful(used) or (critical and any(one.instead_of_clearance for one in self._estimates(used)))

    @property
    def gives_no_dose(self) -> bool:
        """Whether no dose may be derived from an estimate: kidney function is unstable or replaced by dialysis."""
        egfr = self.chart.kidney("egfr_best")
        known = egfr if isinstance(egfr, KidneyEstimate) else egfr.old
        return known is not None and (known.unstable or known.method == "dialysis")

    def notes(self, uses: Iterable[str]) -> list[str]:
        """Sentences about how sure the facts are."""
        used = frozenset(uses)
        said = [note for estimate in self._estimates(used) for note in kidney.notes(estimate)]
        if used & {*ESTIMATES, "lab:creatinine"}:
            said += self.chart.unstable_notes
        return list(dict.fromkeys(said))

    def running_note(self) -> str | None:
        """That the drug is on the active list already: whatever is done with the draft, that order goes on."""
        for one in self.chart.taken_beside(self.drafted, [self.ingredient.rxcui]):
            if one.draft is None:
                name = f"{self.ingredient.name[:1].upper()}{self.ingredient.name[1:]}"
                since = f" (ordered {one.since[:10]})" if one.since else ""
                return f"{name} is on the active list{since}: that order needs the same decision."
        return None

    def why_unknown(self, uses: Iterable[str]) -> tuple[str, str]:
        """The reason code and the sentence for what is not known."""
        used = frozenset(uses)
        for name in ESTIMATES:
            if name in used and self.estimate(name) is None:
                return self.chart.why_no_kidney_function(name)
        if "dose" in used and self.daily_dose_mg is None:
            return self.drafted.why_no_dose
        for use, (attribute, code, text) in _UNKNOWN.items():
            if use in used and getattr(self, attribute) is None:
                return code, text
        if "conditions" in used and not self.knows_conditions:
            return "conditions-missing", "the problem list is not known."
        labs = sorted(use.removeprefix("lab:") for use in used if use.startswith("lab:"))
        return "data-missing", f"not known: {', '.join(labs) or 'a fact that it needs'}."

    def _estimates(self, uses: Iterable[str]) -> list[KidneyEstimate]:
        return [found for name in ESTIMATES if name in uses and (found := self.estimate(name)) is not None]
