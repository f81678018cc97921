"""For whom a recommendation is: children or adults, why the drug is ordered, whether it was taken before."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cards.rules.patient.context import RuleContext
from fhir.mapping.conditions import condition_status
from fhir.record.resources import Condition
from fhir.terminology.conditions import SYSTEMS

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
    ),
    (_BRAIN, ("I63", "G45", "Z8673"), ("230690007", "266257000", "422504002")),
    (_OTHER_VESSELS, ("I702", "I739", "I20", "I23", "I25", "Z951", "I48", "I65"), ("399957001", "53741008")),
)


def populations_of(context: RuleContext, declared: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """Which of a drug's populations the patient is in, and whether that is known; several where it is not."""
    if tuple(declared) == (ANY,):
        return (ANY,), True
    if _CORONARY in declared:
        found = _indication(context)
        return ((found,), True) if found is not None else (tuple(declared), False)
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
    """Why the drug is ordered: by the order's own reason, else by the problem list; None where neither says."""
    reasons = [(one.system, one.code) for reason in context.drafted.order.reasonCode for one in reason.coding]
    return _named(reasons) or _named(_problems(context))


def _problems(context: RuleContext) -> Iterator[tuple[str | None, str | None]]:
    record = context.session.record
    for condition in record.conditions:
        if condition_status(condition, record.as_of_epoch) != "past":
            yield from _codes(condition)


def _codes(condition: Condition) -> Iterator[tuple[str | None, str | None]]:
    yield from ((one.system, one.code) for one in (condition.code.coding if condition.code is not None else ()))


def _named(codes: Iterable[tuple[str | None, str | None]]) -> str | None:
    known = [(SYSTEMS.get(system or ""), (code or "").replace(".", "").upper()) for system, code in codes]
    for name, icd10, snomed in _INDICATIONS:
        for system, code in known:
            if (system == "icd10" and code.startswith(icd10)) or (system == "snomed" and code in snomed):
                return name
    return None
