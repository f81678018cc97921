"""What only the interaction rules ask: NSAIDs and their doses, thiopurines by weight, treatment doses, fluids."""

import re
from collections.abc import Iterator

from cards.rules.condition import COMPARED, SELECTED, Condition, Spec, comparison, flag, only
from cards.rules.drafted import Drafted
from cards.rules.fact import Fact
from cards.rules.figures import show
from cards.rules.predicate import Predicate, Truth
from cards.rules.selector import Selector
from cards.rules.situation import Situation
from cards.rules.taken import Taken
from cards.rules.wording import compared, selected
from fhir.mapping.dose import DailyDose
from fhir.mapping.medications import Identity

NSAID = Selector(classes=frozenset({"nsaid"}), systemic=True)


# The two sides


def _both(situation: Situation) -> tuple[Drafted | Taken, ...]:
    """The draft and the partner that is looked at."""
    return situation.drafted, *situation.partners[:1]


# Other drafts


def _beside_drafted(spec: Spec) -> Predicate:
    selector = Selector.read(only(spec, "beside_drafted")["beside_drafted"], systemic=True)

    def test(situation: Situation) -> Truth:
        beside = situation.chart.taken_beside(situation.drafted, selector.keys)
        return any(one.drafted is not None and selector.matches(one.medication) for one in beside)

    return Predicate(test, uses=frozenset({"active"}))


BESIDE_DRAFTED = Condition(
    _beside_drafted, SELECTED, lambda spec: f"{selected(spec['beside_drafted'])} is drafted along with it"
)

# NSAIDs


def nsaids(situation: Situation) -> list[str]:
    """The systemic NSAIDs drafted and taken, by ingredient."""
    own = [one.name for one in NSAID.members(situation.medication)] if NSAID.matches(situation.medication) else []
    return list(dict.fromkeys([*own, *(str(fact.value) for fact in situation.taken_facts(NSAID))]))


def _nsaid_count(spec: Spec) -> Predicate:
    compare, limits = comparison(only(spec, "nsaid_count")["nsaid_count"])

    def facts(situation: Situation) -> list[Fact]:
        return situation.taken_facts(NSAID)

    return Predicate(lambda situation: compare(len(nsaids(situation))), facts, frozenset({"active"}), limits)


NSAID_COUNT = Condition(_nsaid_count, COMPARED, lambda spec: compared("NSAIDs taken", spec["nsaid_count"]))

# The usual daily dose: tables/high_dose_nsaid of the source, milligrams by ingredient.
_USUAL_MG = {"5640": 2400.0, "7258": 1000.0, "3355": 150.0, "41493": 15.0, "140587": 400.0}


def high_dose(situation: Situation) -> tuple[str, float] | None:
    """The NSAID of the pair that is over its usual daily dose, with that dose."""
    for rxcui, name, daily in _nsaid_doses(situation):
        if daily is not None and daily > _USUAL_MG[rxcui]:
            return name, daily
    return None


def _nsaid_doses(situation: Situation) -> Iterator[tuple[str, str, float | None]]:
    for side in _both(situation):
        for one in side.medication.ingredients:
            if one.rxcui in _USUAL_MG and side.medication.systemic is not False:
                daily = side.dose.daily(one.rxcui)
                yield one.rxcui, one.name, daily.high if daily is not None else None


def _is_high_dose(situation: Situation) -> Truth:
    if high_dose(situation) is not None:
        return True
    return None if any(daily is None for _, _, daily in _nsaid_doses(situation)) else False


HIGH_DOSE_NSAID = flag(
    "high_dose_nsaid", _is_high_dose, "the NSAID is over its usual daily dose", frozenset({"active"})
)

# Thiopurines: band allopurinol of the source. Milligrams for each kilogram and day.
_REDUCED_MG_PER_KG = {"1256": 1.0, "103": 0.5}


def thiopurine(situation: Situation) -> tuple[str, float | None]:
    """The thiopurine of the pair and its daily milligrams."""
    for side in _both(situation):
        for one in side.medication.ingredients:
            if one.rxcui in _REDUCED_MG_PER_KG:
                daily = side.dose.daily(one.rxcui)
                return one.rxcui, daily.high if daily is not None else None
    return "", None


def _is_reduced(situation: Situation) -> Truth:
    rxcui, daily = thiopurine(situation)
    weight = situation.weight_kg
    if not rxcui or daily is None or not weight:
        return None
    return daily / weight <= _REDUCED_MG_PER_KG[rxcui]


def _thiopurine_facts(situation: Situation) -> list[Fact]:
    rxcui, daily = thiopurine(situation)
    weight = situation.weight_kg
    if daily is None or not weight:
        return []
    text = f"{show(daily)} mg/day, {show(daily / weight, [_REDUCED_MG_PER_KG[rxcui]], 2)} mg/kg"
    return [
        Fact("thiopurine_dose", text, daily, "mg/d", source=situation.drafted.draft.name),
        *situation.number_facts("weight_kg"),
    ]


THIOPURINE_DOSE_REDUCED = flag(
    "thiopurine_dose_reduced",
    _is_reduced,
    "azathioprine at most 1 mg/kg a day or mercaptopurine at most 0.5 mg/kg",
    frozenset({"active", "weight", "pair_dose"}),
    _thiopurine_facts,
)

# Anticoagulants: rules/CLARIFICATIONS.md of the source, treatment_dose. Milligrams a day.
_HEPARIN, _DALTEPARIN = "5224", "67109"
_PROPHYLAXIS_MG = {"67108": 60.0, "321208": 2.5}
_DALTEPARIN_UNITS = 7500.0
_ORAL = frozenset({"11289", "1364430", "1546356", "1114195", "1599538"})
_INFUSED = re.compile(
    r"infus|\bdrip\b|continuous|units?\s*/\s*(?:kg\s*/\s*)?h|in (?:dextrose|sodium chloride|d5w|ns)\b", re.I
)
_UNITS = re.compile(r"([\d,.]+)\s*(?:units?|\[?iu\]?|\[?anti-?xa\b.{0,12}units?)", re.IGNORECASE)


def is_treatment(medication: Identity, dose: DailyDose, words: str) -> Truth:
    """Whether an anticoagulant is given in a treatment dose; None where the dose is not known."""
    answers = [_treats(code, medication, dose, words) for code in medication.rxcuis if code in _ANTICOAGULANTS]
    return True if True in answers else None if None in answers else False


_ANTICOAGULANTS = _ORAL | {_HEPARIN, _DALTEPARIN, *_PROPHYLAXIS_MG}


def _treats(code: str, medication: Identity, dose: DailyDose, words: str) -> Truth:
    if code in _ORAL:
        return True
    if code == _HEPARIN:
        return bool(_INFUSED.search(f"{medication.words} {medication.route or ''} {words}"))
    if code == _DALTEPARIN:
        return _dalteparin(medication, dose)
    daily = dose.daily(code)
    return None if daily is None else daily.high > _PROPHYLAXIS_MG[code]


def _dalteparin(medication: Identity, dose: DailyDose) -> Truth:
    units = _UNITS.search(medication.words)
    if units is None or dose.times_per_day is None:
        return None
    return float(units[1].replace(",", "")) * dose.times_per_day > _DALTEPARIN_UNITS


def _both_treat(situation: Situation) -> Truth:
    answers = [is_treatment(one.medication, one.dose, _instructions(one.order)) for one in _both(situation)]
    return False if False in answers else None if None in answers else True


def _instructions(order: object) -> str:
    """The words and the timing of an order's instructions."""
    dosages = getattr(order, "dosageInstruction", ()) or getattr(order, "dosage", ())
    said = [f"{dosage.text or ''} {dosage.route.words if dosage.route else ''}" for dosage in dosages]
    rated = any(one.rateQuantity or one.rateRatio for dosage in dosages for one in dosage.doseAndRate)
    return " ".join([*said, "infusion" if rated else ""])


BOTH_TREATMENT_DOSES = flag(
    "both_treatment_doses", _both_treat, "both in treatment doses", frozenset({"active", "pair_dose"})
)

# Potassium in a maintenance fluid: silent_when of the source.
_FLUID = re.compile(r"dextrose|sodium chloride|ringer|\bd5\b|\bd5w|\bns\b|plasma-?lyte|saline", re.IGNORECASE)


def _is_fluid(situation: Situation) -> Truth:
    return any(
        "8591" in one.medication.rxcuis and bool(_FLUID.search(one.medication.words)) for one in _both(situation)
    )


MAINTENANCE_FLUID = flag("maintenance_fluid", _is_fluid, "potassium in a maintenance fluid", frozenset({"active"}))
