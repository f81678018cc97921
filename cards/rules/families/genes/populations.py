"""For whom a recommendation is: children or adults, why the drug is ordered, whether it was taken before."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cards.rules.patient.context import RuleContext
from fhir.mapping.conditions import condition_status, doubt_of
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.assertions import is_of_patient
from fhir.terminology.conditions import code_system

ANY: Final = "any"
_NEVER, _LONG = "never had the drug", "had it over 3 months without skin reaction"
# Cases of skin reactions occur in the first three months (CPIC, carbamazepine and HLA).
_THREE_MONTHS_DAYS: Final = 90.0
_ADULT_YEARS, _CHILD_KG, _LOW_ASPIRIN_MG = 18, 40.0, 1000.0

_CORONARY = "coronary: acute coronary syndrome or PCI"
_OTHER_VESSELS = "cardiovascular, neither ACS nor PCI"
_BRAIN = "neurovascular (stroke, TIA)"
# Acute coronary syndromes and coronary stents; stroke and TIA; other disease of arteries and heart (ICD-10-CM, and the
# SNOMED CT codes of the condition tables). The first that fits counts: the most urgent indication.
_INDICATIONS: Final = (
    (
        _CORONARY,
        ("I200", "I21", "I22", "I24", "Z955"),
        ("401303003", "401314000", "22298006", "394659003", "415070008"),
        r"\bacute coronary syndrome|\bacs\b|\bunstable angina|\bn?stemi\b|\bacute (?:mi\b|myocardial infarct)"
        r"|\bpci\b|\bpercutaneous coronary|\b(?:coronary|cardiac)(?: artery)? stent|\bdrug[- ]eluting stent",
    ),
    (
        _BRAIN,
        ("I63", "G45", "Z8673"),
        ("230690007", "266257000", "422504002"),
        r"\bischa?emic stroke|\bcerebral infarct|\btransient ischa?emic attack|\btia\b",
    ),
    (
        _OTHER_VESSELS,
        ("I702", "I739", "I20", "I23", "I25", "Z951", "I48", "I65"),
        ("399957001", "53741008"),
        r"\bperipheral (?:arter\w+|vascular) (?:occlusive )?disease|\bpad\b|\bpvd\b|\bstable angina"
        r"|\bcoronary artery disease|\bcad\b",
    ),
)
_INDICATION_WORDS: Final = {name: re.compile(words, re.IGNORECASE) for name, _, _, words in _INDICATIONS}


def populations_of(context: RuleContext, declared: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Which of a drug's populations the patient is in, and whether that is known; several where it is not."""
    if tuple(declared) == (ANY,):
        return (ANY,), True
    if _CORONARY in declared:
        indication = _indication(context)
        return ((indication,), True) if indication is not None else (tuple(declared), False)
    if "adults" in declared:
        age = context.age_years
        return (tuple(declared), False) if age is None else (("adults" if age >= _ADULT_YEARS else "children",), True)
    if _NEVER in declared:
        return ((_LONG if _has_taken_it_long(context) else _NEVER,), True)
    return tuple(name for name in declared if _is_in(context, name)), True


def _is_in(context: RuleContext, name: str) -> bool:
    if name == "adults and children over 40 kg":
        age, weight = context.age_years, context.weight_kg
        return (age is not None and age >= _ADULT_YEARS) or (weight is not None and weight > _CHILD_KG)
    if name == "up to 1 g a day":
        dose = context.daily_dose_mg
        return dose is None or dose <= _LOW_ASPIRIN_MG
    return name == ANY


def _has_taken_it_long(context: RuleContext) -> bool:
    if context.new_start is not False:
        return False
    return context.session.is_recent_start(context.medication, _THREE_MONTHS_DAYS) is False


def _indication(context: RuleContext) -> str | None:
    """Why the drug is ordered: by the order's own reason, else by problems and procedures; None where none says.

    A diagnosis that is tentative, or one of several, is no indication.
    """
    record = context.session.record
    listed = [
        condition.code
        for condition in record.conditions
        if condition_status(condition, record.as_of_epoch) != "past" and not doubt_of(condition)
    ]
    done = [procedure.code for procedure in record.procedures if procedure.status == "completed"]
    return _most_urgent(context.drafted.order.reasonCode) or _most_urgent(
        concept for concept in (*listed, *done) if concept is not None
    )


def _most_urgent(concepts: Iterable[CodeableConcept]) -> str | None:
    """The most urgent indication that one of the concepts is, by its codes or in words."""
    names = {name for concept in concepts for name in _indications_of(concept)}
    return next((name for name in _INDICATION_WORDS if name in names), None)


def _indications_of(concept: CodeableConcept) -> Iterator[str]:
    codes = [(code_system(coding.system), (coding.code or "").replace(".", "").upper()) for coding in concept.coding]
    for name, icd10, snomed, _ in _INDICATIONS:
        if any((system == "icd10" and code.startswith(icd10)) or (system == "snomed" and code in snomed)
               for system, code in codes):  # fmt: skip
            yield name
    if any(system for system, _ in codes):
        return
    for name, words in _INDICATION_WORDS.items():
        match = words.search(concept.words)
        if match is not None and is_of_patient(concept.words, match.start()):
            yield name
