"""The recommendations by RxNorm ingredient, read once from `data/` when a drug of theirs is first drafted.

CPIC (tables of 2026-08-13, CC0 1.0) comes first; FDA's Table of Pharmacogenetic Associations is the second source, for
drugs that CPIC has no recommendation for and as an addition to the detail.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from cards.rules.language.rule import DosePart, OrderChange
from cards.rules.patient.context import RuleContext
from fhir.mapping.conditions import condition_status, doubt_of, find_condition
from fhir.record.datatypes import CodeableConcept
from fhir.record.resources import Condition, Procedure
from fhir.terminology.assertions import states
from fhir.terminology.conditions import code_system
from fhir.terminology.package_tables import package_rows

AdviceIndicator: TypeAlias = Literal["silent", "info", "warning", "critical"]

_A_DAY = re.compile(r"(\d+) mg/day")
SEVERITY: Mapping[str, int] = {"silent": 0, "info": 1, "warning": 2, "critical": 3}


class Action(Struct, frozen=True):
    """What to do: class, words, percent of the usual dose that remains, daily limit, whether levels are asked for."""

    name: str
    instruction: str
    percent: tuple[float, float] | None = None
    limit: str = ""
    levels: bool = False
    alternatives: str = ""


class Recommendation(Struct, frozen=True, gc=False):
    """One row: for whom, with which keys, what to do, how severe it is; `source` is CPIC or FDA with the strength."""

    population: str
    keys: tuple[str, ...]
    action: Action
    indicator: AdviceIndicator
    source: str


class GeneDrug(Struct, frozen=True):
    """A drug that genes matter to: its genes in the order of the keys, and its rows by population and keys."""

    rxcui: str
    genes: tuple[str, ...]
    rows: Mapping[tuple[str, tuple[str, ...]], Recommendation]
    populations: tuple[str, ...]


class FdaLine(Struct, frozen=True):
    """A line of FDA's table: the gene, the keys that it is about, its class and printed limit."""

    gene: str
    keys: frozenset[str]
    action: str
    limit: str
    subgroup: str
    indicator: AdviceIndicator

    @property
    def milligrams_a_day(self) -> int | None:
        """The most milligrams a day, where that is how the limit begins."""
        match = _A_DAY.match(self.limit.removeprefix("["))
        return int(match[1]) if match is not None else None


class TestBefore(Struct, frozen=True):
    """A test before the first course: the genes of which a result is asked for, and how it is required."""

    genes: tuple[str, ...]
    danger: str
    level: str
    when: str
    indicator: AdviceIndicator


def _rows(name: str) -> list[dict[str, str]]:
    return package_rows("cards.rules.families.genes", f"data/{name}")


def _action(row: Mapping[str, str]) -> Action:
    low = row["start_pct_low"] or row["maint_pct_low"]
    high = row["start_pct_high"] or row["maint_pct_high"]
    return Action(
        row["class"],
        row["instruction"],
        (float(low), float(high or low)) if low else None,
        row["day_mg_limit"] or row["start_mg_max"],
        row["levels"] == "yes",
        row["alternatives"],
    )


_ACTIONS: Final[Mapping[str, Action]] = {row["action"]: _action(row) for row in _rows("actions.csv")}


def _read_gene_drugs() -> Mapping[str, GeneDrug]:
    by_drug: dict[str, dict[tuple[str, tuple[str, ...]], Recommendation]] = {}
    genes: dict[str, tuple[str, ...]] = {}
    for row in _rows("recommendations.csv"):
        keys = tuple(filter(None, (row["key_1"], row["key_2"])))
        genes[row["rxcui"]] = tuple(filter(None, (row["gene_1"], row["gene_2"])))
        by_drug.setdefault(row["rxcui"], {})[row["population"], keys] = Recommendation(
            row["population"],
            keys,
            _ACTIONS[row["action"]],
            row["indicator"],  # type: ignore[arg-type]  # our own table
            f"CPIC: {row['strength']}" if row["cpic_id"] else "CPIC text of 2022, strength not read",
        )
    for rxcui, lines in FDA_LINES.items():
        if rxcui not in by_drug:
            genes[rxcui], by_drug[rxcui] = _of_fda(lines)
    return {
        rxcui: GeneDrug(rxcui, genes[rxcui], rows, tuple(dict.fromkeys(row.population for row in rows.values())))
        for rxcui, rows in by_drug.items()
    }


def _of_fda(
    lines: tuple[FdaLine, ...],
) -> tuple[tuple[str, ...], dict[tuple[str, tuple[str, ...]], Recommendation]]:
    """Return the lines of one drug as rows; where several are about one gene, the first in FDA's order."""
    gene = lines[0].gene
    rows: dict[tuple[str, tuple[str, ...]], Recommendation] = {}
    for line in lines:
        for key in line.keys if line.gene == gene else ():
            words = f"{_FDA_WORDS[line.action]}{_after_comma(line.limit)}"
            limit = str(line.milligrams_a_day or "")
            action = Action(line.action, f"FDA's table, {_whom(line.subgroup)}: {words}", limit=limit)
            rows.setdefault(("any", (key,)), Recommendation("any", (key,), action, line.indicator, "FDA's table"))
    return (gene,), rows


def _after_comma(limit: str) -> str:
    """Return ", 20 mg/day" of a limit; in brackets, as the limit is, where it is an adult's."""
    if not limit:
        return ""
    return f"[, {limit.removeprefix('[')}" if limit.startswith("[") else f", {limit}"


def _whom(subgroup: str) -> str:
    """Return the phenotype of "*28/*28 (poor metabolizers)", whose alleles the fact beside it has; else all words."""
    alleles, opened, phenotype = subgroup.partition(" (")
    return phenotype.rstrip(")") if opened and alleles.startswith("*") else subgroup


_FDA_WORDS = {
    "avoid": "do not use",
    "reduce": "lower dose",
    "limit": "limited dose",
    "alternative": "consider another drug",
    "increase": "higher dose",
    "risk": "higher risk of adverse reactions or of no effect",
    "monitor": "higher exposure; monitor",
}


def _read_fda_lines() -> Mapping[str, tuple[FdaLine, ...]]:
    lines_by_drug: dict[str, tuple[FdaLine, ...]] = {}
    for row in _rows("fda.csv"):
        line = FdaLine(
            row["gene"],
            frozenset(row["keys"].split(";")),
            row["class"],
            row["limit"],
            row["subgroup"],
            row["indicator"],  # type: ignore[arg-type]  # our own table
        )
        lines_by_drug[row["rxcui"]] = (*lines_by_drug.get(row["rxcui"], ()), line)
    return lines_by_drug


FDA_LINES: Final[Mapping[str, tuple[FdaLine, ...]]] = _read_fda_lines()
"""The lines of FDA's table by RxNorm code."""


REQUIRED_TESTS: Final[Mapping[str, TestBefore]] = {
    row["rxcui"]: TestBefore(
        tuple(row["genes"].split(";")),
        row["danger"],
        row["level"],
        row["when"],
        row["indicator"],  # type: ignore[arg-type]  # our own table
    )
    for row in _rows("test_before.csv")
}
"""The tests that are required or recommended before a drug, by RxNorm code."""


HARMS: Final = _rows("harms.csv")
"""What can happen by gene: for which phenotypes and drugs, in the words of CPIC's implications and of FDA's table."""


GENE_DRUGS: Final[Mapping[str, GeneDrug]] = _read_gene_drugs()
"""Every drug of CPIC's recommendations, and those of FDA's table that CPIC has none for, by RxNorm code."""


_LIMIT = re.compile(r"(?P<sign>>=|≥|<=|≤|<|>)?\s*(?P<number>\d+(?:\.\d+)?)(?P<note> note)?")
_AZATHIOPRINE: Final = "1256"
_FULL_AZATHIOPRINE_MG_KG: Final = 2.0
"""CPIC 2018 (thiopurines): the reduced start is meant "if normal starting dose is 2-3 mg/kg/day"."""
_DEPRESSION_DOSES: Final = "depression doses"
_LOW_TRICYCLIC_MG: Final = 25.0
"""CPIC 2016 gives its advice on tricyclics for depression; at low doses, as for pain, it is shown as information only.
That low means up to 25 mg a day is the project's own choice, for review."""
_LOWER: Final = ("reduce", "alternative_or_reduce", "avoid_unless", "limit")


def judge_dose(context: RuleContext, row: Recommendation) -> AdviceIndicator:
    """Return the severity at the drafted dose: none within the limit, the row's own where there is no limit."""
    daily = context.daily_dose_mg
    if row.indicator == "silent" or daily is None:
        return row.indicator
    within = _is_within(row.action.limit, daily)
    if within is not None:
        return "silent" if within else row.indicator
    if _DEPRESSION_DOSES in row.action.instruction and daily <= _LOW_TRICYCLIC_MG:
        return "info" if find_condition(context.session.record, "depression") is None else row.indicator
    if context.ingredient.rxcui == _AZATHIOPRINE and row.action.name == "reduce":
        weight = context.weight_kg
        return "silent" if weight is not None and daily / weight < _FULL_AZATHIOPRINE_MG_KG else row.indicator
    if row.action.name == "alternative_or_reduce" and _keeps_fda_limit(context, row, daily):
        return "silent"
    return row.indicator


def _is_within(limit: str, daily: float) -> bool | None:
    """Whether the daily dose needs nothing by this limit; None where the limit is not a number of milligrams."""
    match = _LIMIT.fullmatch(limit.strip()) if limit else None
    if match is None:
        return None
    number, sign = float(match["number"]), match["sign"]
    if match["note"]:
        return daily < number if sign in (">=", "≥") else daily <= number
    return daily < number if sign == "<" else daily <= number


def _keeps_fda_limit(context: RuleContext, row: Recommendation, daily: float) -> bool:
    return any(
        line.milligrams_a_day is not None and line.keys & set(row.keys) and daily <= line.milligrams_a_day
        for line in FDA_LINES.get(context.ingredient.rxcui, ())
    )


def lower_dose(context: RuleContext, row: Recommendation) -> OrderChange | None:
    """Return the draft's change to the part of its dose that remains, in whole units of the product; None without one.

    Of a range of percent its middle is offered; of a daily limit the limit, which is an adult's and none for a child.
    """
    strengths = context.medication.strengths
    strength = strengths[0].milligrams if len(strengths) == 1 and strengths[0] is not None else None
    daily = context.daily_dose_mg
    if row.action.name not in _LOWER or strength is None or daily is None:
        return None
    share = _share(row, daily, for_child=context.is_child)
    return OrderChange(part=DosePart(share[1], share[0], strength)) if share is not None else None


def _share(row: Recommendation, daily: float, *, for_child: bool) -> tuple[float, float] | None:
    """Return the least and the most of the drafted dose that may remain."""
    match = _LIMIT.fullmatch(row.action.limit.strip()) if row.action.limit else None
    if match is not None and not match["note"] and match["sign"] != "<" and not for_child:
        most = float(match["number"]) / daily
        return (most / 2, most) if most < 1 else None
    if row.action.percent is not None and row.action.percent[1] < 100:
        low, high = (part / 100 for part in row.action.percent)
        return (low if low < high else low * 2 / 3, (low + high) / 2)
    return None


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

    A diagnosis that is tentative, or one of several, is not an indication.
    """
    record = context.session.record
    listed = [
        condition.code
        for condition in record.facts(Condition)
        if condition_status(condition, record.as_of_epoch) != "past" and not doubt_of(condition)
    ]
    done = [procedure.code for procedure in record.facts(Procedure) if procedure.status == "completed"]
    return _most_urgent(context.drafted.order.reasonCode) or _most_urgent(
        concept for concept in (*listed, *done) if concept is not None
    )


def _most_urgent(concepts: Iterable[CodeableConcept]) -> str | None:
    """Return the most urgent indication that one of the concepts is, by its codes or in words."""
    names = {name for concept in concepts for name in _indications_of(concept)}
    return next((name for name in _INDICATION_WORDS if name in names), None)


def _indications_of(concept: CodeableConcept) -> Iterator[str]:
    codes = [(code_system(coding.system), coding.code.replace(".", "").upper()) for coding in concept.coding]
    for name, icd10, snomed, _ in _INDICATIONS:
        if any((system == "icd10" and code.startswith(icd10)) or (system == "snomed" and code in snomed)
               for system, code in codes):  # fmt: skip
            yield name
    if any(system for system, _ in codes):
        return
    for name, words in _INDICATION_WORDS.items():
        if states(words, concept.words):
            yield name
