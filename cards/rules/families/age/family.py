"""Older adults: the placeholders and conditions that only these rules use."""

from typing import Final

from cards.extension import Fact
from cards.rules.conditions.condition import MEDICATION_LISTS, number
from cards.rules.engine.family import Family, Placeholder
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import RuleContext, medication_fact
from cards.rules.patient.orders import CurrentMedication
from cards.text import first_few, format_dose, plain
from fhir.mapping.medications.daily_dose import DailyDose

# rules/age.json, trigger of age-cns-three.
_CNS = Selector(
    classes=frozenset(
        {
            "opioid",
            "benzodiazepine",
            "z_drug",
            "gabapentinoid",
            "antipsychotic",
            "tca",
            "ssri",
            "snri",
            "muscle_relaxant",
        }
    ),
    systemic=True,
)
_MOST_LISTED = 5


# Drugs that act on the brain


def _is_for_today(dose: DailyDose) -> bool:
    return dose.single or (dose.duration_days is not None and dose.duration_days <= 1)


def _brain_active(context: RuleContext) -> dict[str, CurrentMedication | None]:
    """Each of them by name, the drafted ones first (None), without what is given only today."""
    by_name: dict[str, CurrentMedication | None] = {part.name: None for part in _CNS.members(context.medication)}
    for medication in context.current_medications(_CNS):
        if not _is_for_today(medication.dose):
            for part in _CNS.members(medication.medication):
                by_name.setdefault(part.name, medication)
    return by_name


def _brain_active_facts(context: RuleContext) -> list[Fact]:
    listed = _brain_active(context).items()
    return [medication_fact(medication, name) for name, medication in listed if medication is not None]


# Words


_LOW_EGFR = 30
_BLEEDING = Selector(classes=frozenset({"anticoagulant", "corticosteroid", "antiplatelet"}), systemic=True)


def _risk(context: RuleContext) -> str:
    """Return what makes an NSAID riskier, the strongest reason alone; without another it is the age."""
    if context.has_condition("gi_bleed_or_ulcer"):
        return " after an ulcer or GI bleed"
    medications = context.current_medications(_BLEEDING)
    if medications:
        return f" with {plain('/'.join(part.name for part in _BLEEDING.members(medications[0].medication)), 30)}"
    return " (over 75)"


def _indication(context: RuleContext) -> str | None:
    if context.has_condition("afib"):
        return "atrial fibrillation"
    return "thrombosis" if context.has_condition("vte") else None


_Z_DRUG_DOSES: Final = {
    "zolpidem": "5 mg (extended release 6.25 mg)",
    "zaleplon": "5 mg",
    "eszopiclone": "1 mg (at most 2 mg)",
}


def _z_drug_dose(context: RuleContext) -> str:
    dose = _Z_DRUG_DOSES.get(context.ingredient.name)
    return f"Label starting dose in older adults: {dose}." if dose else ""


def _digoxin_most(context: RuleContext) -> str:
    """The dose of the kidney card where there is one, so that one patient has one dose (STOPP E1)."""
    estimate = context.estimate("egfr_best")
    return "less than 0.125 mg/day" if estimate is not None and estimate.value < _LOW_EGFR else "0.125 mg or less"


_LORAZEPAM, _LORAZEPAM_START_MG = "lorazepam", 2.0
"""US label of lorazepam tablets, set id 00960fbd-a5da-408b-9867-62982f20906f, dosage, read 2026-11-29: "For elderly or
debilitated patients, an initial dosage of 1 to 2 mg/day in divided doses is recommended"."""


def _benzodiazepine_dose(context: RuleContext) -> str:
    daily_mg = context.daily_dose_mg
    if context.ingredient.name != _LORAZEPAM or context.medication.is_injected or not context.new_start:
        return ""
    if daily_mg is None or daily_mg <= _LORAZEPAM_START_MG:
        return ""
    return f"Label start in older adults: 1 to 2 mg/day; this order gives {format_dose(daily_mg)} mg/day."


_FOR_DEMENTIA: Final = Selector(classes=frozenset({"cholinesterase_inhibitor"}), systemic=True)


def _counteracts(context: RuleContext) -> str:
    """Return that the draft counteracts a cholinesterase inhibitor that is taken; "" where none is."""
    names = dict.fromkeys(fact.value for fact in context.medication_facts(_FOR_DEMENTIA))
    return f"It also counteracts {' and '.join(map(str, names))}." if names else ""


FAMILY = Family(
    "age",
    placeholders={
        "n": Placeholder(lambda context: str(len(_brain_active(context))), "12"),
        "list": Placeholder(lambda context: first_few(list(_brain_active(context)), _MOST_LISTED)),
        "risk": Placeholder(_risk, " after an ulcer or GI bleed"),
        "indication": Placeholder(_indication, "atrial fibrillation"),
        "z_drug_dose": Placeholder(_z_drug_dose),
        "benzodiazepine_dose": Placeholder(_benzodiazepine_dose),
        "digoxin_most": Placeholder(_digoxin_most, "less than 0.125 mg/day"),
        "counteracts": Placeholder(_counteracts),
    },
    conditions=(
        number(
            "cns_active_count",
            "brain-active drugs in all",
            lambda context: (len(_brain_active(context)), context.session.knows_medications),
            "the number of brain-active drugs, drafted and taken, compares so",
            frozenset({"active"}),
            _brain_active_facts,
            MEDICATION_LISTS,
        ),
    ),
)
