"""Interactions: the placeholders that only these rules use."""

from collections.abc import Callable, Sequence
from typing import Final

from cards.rules.engine.family import Family, Fill, Placeholder, for_drug, written
from cards.rules.families.ddi.conditions import (
    ANY_NEW,
    BESIDE_DRAFTED,
    BOTH_INJECTED,
    BOTH_TREATMENT_DOSES,
    BOTH_UNCHANGED_FOR,
    HIGH_DOSE_NSAID,
    MAINTENANCE_FLUID,
    NSAID,
    NSAID_COUNT,
    ONE_BEGUN_WITHIN,
    THIOPURINE_DOSE_REDUCED,
    high_dose,
    names_of,
)
from cards.rules.families.ddi.qt_points import NOT_LOOKED_FOR, TISDALE_POINTS, points, risks
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import dated, phrase
from cards.text import capitalized, first_few, format_dose
from fhir.mapping.conditions import began_by, problems_of
from fhir.mapping.kidney import KidneyAbsence
from fhir.terminology.package_tables import package_rows

_STEROID_OR_MRA = Selector(classes=frozenset({"corticosteroid", "mra"}), systemic=True)
_RAAS = Selector(classes=frozenset({"raas"}), systemic=True)
_DIURETIC = Selector(classes=frozenset({"loop_diuretic", "thiazide", "mra"}), systemic=True)
_LOOP = Selector(classes=frozenset({"loop_diuretic"}))
_PPI = Selector(classes=frozenset({"ppi"}))
_CITALOPRAM, _SIMVASTATIN = "2556", "36567"
_CITALOPRAM_INHIBITORS = Selector(frozenset({"2541", "7646", "283742", "4450", "121243", "42355"}))
_ZIPRASIDONE = "ziprasidone"
_INR_DAYS = 90

Risks = Callable[[RuleContext], list[str]]


def _first_of(risks: Risks) -> Fill:
    """Return the first risk, for a summary; the detail names all."""
    return lambda context: next(iter(risks(context)), None)


def _all_of(risks: Risks) -> Fill:
    return lambda context: ", ".join(risks(context)) or None


def _drugs(selector: Selector) -> Fill:
    return lambda context: first_few(names_of(selector, context), 1) or None


def _conditions(context: RuleContext, words: Sequence[tuple[str, str]]) -> list[str]:
    return [phrase for key, phrase in words if context.has_condition(key)]


# Bleeding


def _bleeding_risks(context: RuleContext) -> list[str]:
    age = context.age_years
    risks = [f"age {age}"] if age is not None and age > 65 else []
    risks += _conditions(context, [("gi_bleed_or_ulcer", "a past GI bleed or ulcer")])
    risks += names_of(_STEROID_OR_MRA, context)
    names = names_of(NSAID, context)
    also_taken = [f"{name} too" for name in names if name not in context.side_names(1)]
    if len(names) > 1:
        risks += also_taken[:1] or ["two NSAIDs"]
    over = high_dose(context)
    return [*risks, *([f"{over[0]} {format_dose(over[1])} mg/day"] if over is not None else [])]


def _gastroprotection(context: RuleContext) -> str:
    names = names_of(_PPI, context)
    return f"{names[0]} is taken" if names else "No PPI or misoprostol on the list"


# Laboratory


def _newest_inr(context: RuleContext) -> str:
    """Return the newest INR with its date, however old: one card may ask for an INR after several times."""
    record = context.session.record
    measurement = context.session.lab("inr", _INR_DAYS) or record.newest("inr")
    if measurement is not None:
        return dated(measurement)
    if not record.was_requested("inr"):
        return "The last INR is not known here"
    return f"No {'usable ' if record.lookup('inr').refused else ''}INR on record"


def _digoxin_risks(context: RuleContext) -> list[str]:
    risks = []
    estimate = context.estimate("egfr_best")
    if estimate is not None and estimate.value < 60:
        risks.append(phrase(estimate, [60]))
    low = (("potassium", 90, 3.5), ("magnesium", 30, 1.7))
    for analyte, days, limit in low:
        value = context.session.lab(analyte, days)
        if value is not None and value.value < limit and value.side not in (">", ">="):
            risks.append(dated(value, [limit]))
    calcium = context.session.lab("calcium", 90)
    if calcium is not None and calcium.value > 10.2 and calcium.side not in ("<", "<="):
        risks.append(dated(calcium, [10.2]))
    if context.takes(_LOOP) and context.session.lab("potassium", 30) is None:
        risks.append("a loop diuretic without a potassium")
    return risks


def _potassium_risks(context: RuleContext) -> list[str]:
    risks = [f"age {context.age_years}"] if context.age_years is not None and context.age_years >= 65 else []
    estimate = context.estimate("egfr_best")
    return [*risks, *([phrase(estimate, [60])] if estimate is not None and estimate.value < 60 else [])]


def _kidney_said(context: RuleContext) -> str:
    estimate = context.estimate("egfr_best")
    if estimate is None:
        function = context.session.kidney("egfr_best")
        if isinstance(function, KidneyAbsence) and function.refused:
            return function.text
        return "No kidney function is on record."
    return f"{phrase(estimate)}."


# Doses


def _dose_of(rxcui: str) -> Fill:
    return written(lambda context: context.drug_daily_mg(rxcui), format_dose)


_NOT_FOR_CITALOPRAM = Selector(frozenset({"2541", "7646", "283742"}))


def _instead_of_partner(context: RuleContext) -> str:
    """Omeprazole and cimetidine have a substitute that leaves citalopram alone; an antifungal has none."""
    names = names_of(_NOT_FOR_CITALOPRAM, context)
    return f", or consider pantoprazole or famotidine in place of {names[0]}" if names else ""


_HALVES_DIGOXIN = Selector(frozenset({"233698"}))


def _digoxin_label(context: RuleContext) -> str:
    """What the label says of the drugs that are given, and of no other."""
    names = context.side_names(1)
    halving = [name for name in names if name in names_of(_HALVES_DIGOXIN, context)]
    others = [name for name in names if name not in halving]
    parts = [f"halve digoxin with {' and '.join(halving)}"] if halving else []
    parts += [f"lower digoxin and measure its level with {' and '.join(others)}"] if others else []
    return f"Label: {'; '.join(parts)}."


_BLEEDING_DAYS = 90
"""How long a bleed on the list can be one that goes on, as in disease-anticoagulant-bleeding."""


def _how_many_anticoagulants(context: RuleContext) -> str:
    """One of the two is right for a switch and for nobody who bleeds."""
    record = context.session.record
    began = [began_by(hit) for hit in problems_of(record, ("bleeding_major",))]
    bleeds = any(time is not None and time.whole_days(record.as_of_epoch) <= _BLEEDING_DAYS for time in began)
    return "Hold both while it bleeds" if bleeds else "Give only one"


_TRIMETHOPRIM, _METHYLENE_BLUE, _FLUOXETINE = Selector(frozenset({"10829"})), "6878", "4493"


def _potassium_again(context: RuleContext) -> str:
    return "on day 4" if names_of(_TRIMETHOPRIM, context) else "in 1 week"


def _potassium_rise(context: RuleContext) -> str:
    if names_of(_TRIMETHOPRIM, context):
        return "Trimethoprim raises potassium within days."
    return "Hyperkalemia develops over 1 to 2 weeks."


def _urgent_methylene_blue(context: RuleContext) -> str:
    """The way out is written for the antidote: said of a serotonergic order, "stop the other drug" would allow it."""
    is_drafted = _METHYLENE_BLUE in context.medication.rxcuis
    return "If methylene blue is needed urgently, stop the other drug and watch." if is_drafted else ""


def _maoi_wait(context: RuleContext) -> str:
    drugs = (context.medication, *(partner.medication for partner in context.partners))
    has_fluoxetine = any(_FLUOXETINE in drug.rxcuis for drug in drugs)
    return "2 weeks (5 after fluoxetine)" if has_fluoxetine else "2 weeks"


_NO_SAFE_STATIN = Selector(frozenset({"3008", "4719", "1544460", "2361285"}), frozenset({"hiv_pi"}))


def _statin_way_out(context: RuleContext) -> str:
    names = names_of(_NO_SAFE_STATIN, context)
    if names:
        return f"With {' and '.join(names)} every statin interacts; ask the specialist which drug is to stay."
    return "Choose another drug, or hold the statin during a short course."


_MORE_COLCHICINE = Selector(frozenset({"11170", "3443", "4053", "4450"}))


def _further_inhibitor(context: RuleContext) -> str | None:
    return " and ".join(names_of(_MORE_COLCHICINE, context)) or None


_START_INR: Final = {
    row["drug"]: f"{'below' if row['bands'] == 'from_at_start' else 'at most'} {row['limit']} (label)"
    for row in package_rows("cards.rules.families.disease", "label_values.csv")
    if row["analyte"] == "inr" and row["bands"].endswith("_at_start")
}
"""The INR after warfarin from which on the label starts the drug."""

_BY_DRUG: Final = {
    "tizanidine_rise": {"ciprofloxacin": "10-fold with ciprofloxacin", "fluvoxamine": "33-fold with fluvoxamine"},
    "cyclosporine_limit": {
        "atorvastatin": "The daily limit of atorvastatin is 10 mg.",
        "lovastatin": "The daily limit of lovastatin is 20 mg.",
    },
    "pravastatin_limit": {"pravastatin": "The pravastatin label allows 20 mg."},
    "gemfibrozil_limit": {"rosuvastatin": "If gemfibrozil is needed, give at most 10 mg of rosuvastatin a day."},
    "start_inr": _START_INR,
    "rifampin_fall": {"apixaban": "54 %", "rivaroxaban": "50 %", "dabigatran": "66 %", "edoxaban": "35 %"},
    "ssri_inr": {name: f"{capitalized(name)} can raise the INR too." for name in ("fluoxetine", "fluvoxamine")},
    "doac_label": {name: f"The US label of {name} asks for no other dose." for name in ("apixaban", "dabigatran")},
}
"""What is told of one drug and stands on no card about another."""


# QT


_CAUSES_TORSADES = Selector(
    frozenset(
        {
            "703", "3541", "49247", "233698", "3648", "5093", "41289", "6813", "8331", "8700", "9068", "9947", "10502",
            "1098413",
        }
    )
)  # fmt: skip


def _qt_strong(context: RuleContext) -> str | None:
    names = [name for name in names_of(_CAUSES_TORSADES, context) if name != context.ingredient.name]
    return " and ".join(names) or None


def _other_than_ziprasidone(context: RuleContext) -> str | None:
    names = [*context.partner_names(), context.ingredient.name]
    return next((name for name in names if name != _ZIPRASIDONE), None)


def _qt_points(context: RuleContext) -> str:
    tisdale = points(context)
    return str(tisdale.sure) if tisdale.is_whole else f"at least {tisdale.sure}"


def _qt_limits(context: RuleContext) -> str:
    unknown = [name for name, days in (("potassium", 90), ("qtc", 90)) if context.session.lab(name, days) is None]
    missing = (
        f"No {' and no '.join('QTc' if name == 'qtc' else name for name in unknown)} in 90 days; " if unknown else ""
    )
    sentence = f"{missing}{NOT_LOOKED_FOR}."
    return capitalized(sentence)


_PARTNER_DOSE = ("partner-dose-unknown", "the dose of the other drug is not known.")


def _dose_gap(context: RuleContext) -> tuple[str, str] | None:
    """Where a condition needs the dose of either side: which one is not known."""
    if not context.drafted.dose.per_day:
        return context.why_no_dose()
    if any(not partner.dose.per_day for partner in context.partners):
        return _PARTNER_DOSE
    return None


_DATED = "on 2026-11-20"


FAMILY = Family(
    "ddi",
    placeholders={
        "bleeding_risk": Placeholder(_first_of(_bleeding_risks), "a past GI bleed or ulcer"),
        "bleeding_risks": Placeholder(_all_of(_bleeding_risks)),
        "gastroprotection": Placeholder(_gastroprotection),
        "digoxin_risk": Placeholder(_first_of(_digoxin_risks), f"potassium 3.45 mmol/L {_DATED}"),
        "digoxin_risks": Placeholder(_all_of(_digoxin_risks)),
        "Inr": Placeholder(_newest_inr, f"INR 10.5 {_DATED}"),
        "potassium_risk": Placeholder(_first_of(_potassium_risks), "age 100"),
        "kidney_said": Placeholder(_kidney_said),
        "egfr_or_list": Placeholder(
            written(lambda context: context.estimate("egfr_best"), lambda estimate: phrase(estimate, [60])),
            f"eGFR 29.96 (old, disputed) {_DATED}",
        ),
        "simvastatin_dose": Placeholder(_dose_of(_SIMVASTATIN), "80"),
        "citalopram_dose": Placeholder(_dose_of(_CITALOPRAM), "60"),
        "citalopram_partner": Placeholder(
            lambda context: next(iter(names_of(_CITALOPRAM_INHIBITORS, context)), None), "esomeprazole"
        ),
        "instead_of_partner": Placeholder(_instead_of_partner),
        "digoxin_label": Placeholder(_digoxin_label),
        "how_many_anticoagulants": Placeholder(_how_many_anticoagulants, "Hold both while it bleeds"),
        "potassium_again": Placeholder(_potassium_again, "in 1 week"),
        "potassium_rise": Placeholder(_potassium_rise),
        "urgent_methylene_blue": Placeholder(_urgent_methylene_blue),
        "maoi_wait": Placeholder(_maoi_wait, "2 weeks (5 after fluoxetine)"),
        "statin_way_out": Placeholder(_statin_way_out),
        "further_inhibitor": Placeholder(_further_inhibitor),
        "qt_strong": Placeholder(_qt_strong),
        **{name: Placeholder(for_drug(texts)) for name, texts in _BY_DRUG.items()},
        "nsaid": Placeholder(_drugs(NSAID)),
        "raas": Placeholder(_drugs(_RAAS), "hydrochlorothiazide"),
        "diuretic": Placeholder(_drugs(_DIURETIC), "hydrochlorothiazide"),
        "other_than_ziprasidone": Placeholder(_other_than_ziprasidone, "hydroxychloroquine"),
        "qt_risk": Placeholder(_first_of(risks), "potassium 3.45"),
        "qt_risks": Placeholder(_all_of(risks)),
        "qt_points": Placeholder(_qt_points),
        "qt_limits": Placeholder(_qt_limits),
    },
    conditions=(
        BESIDE_DRAFTED,
        NSAID_COUNT,
        HIGH_DOSE_NSAID,
        THIOPURINE_DOSE_REDUCED,
        BOTH_INJECTED,
        BOTH_TREATMENT_DOSES,
        MAINTENANCE_FLUID,
        ONE_BEGUN_WITHIN,
        BOTH_UNCHANGED_FOR,
        ANY_NEW,
        TISDALE_POINTS,
    ),
    gaps={
        "pair_dose": _dose_gap,
        "drug_dose": lambda context: None if not context.drafted.dose.per_day else _PARTNER_DOSE,
    },
)
