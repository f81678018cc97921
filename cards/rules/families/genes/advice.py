"""What a patient's genetic results mean for one drafted drug: the recommendation for these keys and this population.

The results of the drug's genes give one or several combinations of keys. Where they cannot be told apart the worse one
counts, never as critical; a recommendation that depends on something unknown is said as information without a change.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import product

from msgspec import Struct
from msgspec.structs import replace

from cards.rules.families.genes.knowledge import (
    GENE_DRUGS,
    REQUIRED_TESTS,
    SEVERITY,
    AdviceIndicator,
    GeneDrug,
    Recommendation,
    judge_dose,
    populations_of,
)
from cards.rules.patient.context import RuleContext
from fhir.mapping.genomics.reports import gene_readings
from fhir.mapping.genomics.results import GeneResult, implied_readings, result_of
from fhir.mapping.genomics.tables import GENES, NO_RESULT
from fhir.record.datatypes import CodeableConcept
from fhir.record.measurement import GENOMICS
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Procedure
from fhir.terminology.assertions import states

# Germline results do not hold after these (README of shared/data/pgx): liver, bone marrow, stem cells (ICD-10-CM,
# ICD-9-CM), or said in words of a problem or a procedure.
_NEW_CELLS = ("Z944", "Z9481", "Z9484", "T864", "T860", "V427", "V4281", "V4282")
_NEW_CELLS_IN_WORDS = re.compile(
    r"\b(?:liver|hepatic|bone marrow|stem cells?|bmt|hsct)\b[^.;]{0,20}\btransplant|"
    r"\btransplant\w*\b[^.;]{0,15}\b(?:liver|bone marrow|stem cells?)\b|\b(?:hsct|olt)\b",
    re.IGNORECASE,
)
_NOT_YET = re.compile(r"candidate|evaluat|await|waiting|list(?:ed|ing)|before|donor|declined|autologous", re.IGNORECASE)
_QUIET = frozenset({"standard", "standard_note", "none"})


class Advice(Struct, frozen=True):
    """The advice about a drug: its band and severity, the recommendation, and the results that it is based on.

    `doubts` are sentences about what makes the results less certain.
    """

    band: str
    indicator: AdviceIndicator
    row: Recommendation | None
    results: tuple[GeneResult, ...]
    doubts: tuple[str, ...] = ()


def results_for(record: PatientRecord, drug_genes: Sequence[str], rxcuis: Sequence[str]) -> dict[str, GeneResult]:
    """Return these genes' results with the therapeutic implications about these drugs; a gene without one is not in."""
    readings = gene_readings(record)
    if not readings.has_any:
        return {}
    implied = implied_readings(readings, rxcuis, drug_genes)
    results = {
        gene: result_of(
            gene, (*readings.by_gene.get(gene, ()), *(reading for reading in implied if reading.gene == gene))
        )
        for gene in drug_genes
    }
    return {gene: result for gene, result in results.items() if result is not None}


def knows_results(record: PatientRecord) -> bool:
    """Whether genetic results were asked for, so that their absence means something."""
    return record.was_requested(GENOMICS)


def advice_of(context: RuleContext) -> Advice | None:
    """Return the advice about the draft's ingredient, worked out once; None without a result of one of its genes."""
    if not gene_readings(context.session.record).has_any:  # as in most charts
        return None
    key = ("genes", context.drafted, context.ingredient.rxcui)
    return context.session.derive(key, lambda: _advise(context, GENE_DRUGS[context.ingredient.rxcui]))


def is_untested(context: RuleContext) -> bool | None:
    """Whether no result of a gene is there that is to be tested before this drug; None where no results were sent.

    Genetic results are laboratory results: where those were sent and none is of the gene, the line says that none came.
    """
    test = REQUIRED_TESTS.get(context.ingredient.rxcui)
    if test is None or results_for(context.session.record, test.genes, (context.ingredient.rxcui,)):
        return False
    record = context.session.record
    return True if knows_results(record) or record.was_requested("Observation") else None


def _advise(context: RuleContext, drug: GeneDrug) -> Advice | None:
    results = results_for(context.session.record, drug.genes, (drug.rxcui,))
    if not results:
        return None
    drug_results = tuple(results[gene] for gene in drug.genes if gene in results)
    unknown = [result for result in drug_results if not result.keys]
    choices = [_keys(results.get(gene), gene) for gene in drug.genes]
    of_populations = _of_populations(context, drug, choices)
    if of_populations is None or of_populations[0] == "silent" or (unknown and of_populations[1].action.name == "test"):
        if unknown:
            return Advice("unknown_allele", "info", None, drug_results)
        return Advice("standard", "silent", of_populations[1] if of_populations else None, drug_results)
    indicator, row, band = of_populations
    advice = Advice(band or row.action.name, indicator, row, drug_results)
    return _with_doubts(advice, row, context, unknown)


def _keys(result: GeneResult | None, gene: str) -> tuple[str, ...]:
    if result is None:
        return (NO_RESULT,)
    if result.keys:
        return result.keys
    symbol = gene.partition("*")[0]
    return ("n/a",) if "n/a" in GENES[symbol].keys else ("Indeterminate",)


_Found = tuple[AdviceIndicator, Recommendation, str]


def _of_populations(context: RuleContext, drug: GeneDrug, choices: Sequence[tuple[str, ...]]) -> _Found | None:
    """Return the advice for the patient's population; where that is not known, the mildest if all of them warn."""
    names, is_known = populations_of(context, drug.populations)
    judgements = [judgement for name in names if (judgement := _of_keys(context, drug, name, choices)) is not None]
    if not judgements:
        return None
    if is_known or len({(judgement[0], judgement[1].action) for judgement in judgements}) == 1:
        return judgements[0]
    mildest = min(judgements, key=lambda judgement: SEVERITY[judgement[0]])
    worst = max(judgements, key=lambda judgement: SEVERITY[judgement[0]])
    if worst[0] == "silent" or SEVERITY[mildest[0]] >= SEVERITY["warning"]:
        return mildest
    return ("info", worst[1], "indication_unknown")


def _of_keys(
    context: RuleContext, drug: GeneDrug, population: str, choices: Sequence[tuple[str, ...]]
) -> _Found | None:
    """Return the worst of what the combinations of keys mean; at least one step milder if one of them means nothing."""
    rows = [row for keys in product(*choices) if (row := drug.rows.get((population, keys))) is not None]
    if not rows:
        return None
    judged: list[_Found] = [(judge_dose(context, row), row, "") for row in rows]
    worst = max(judged, key=lambda judgement: SEVERITY[judgement[0]])
    levels = {judgement[0] for judgement in judged}
    if len(levels) == 1:
        return worst
    if "silent" in levels:
        # Which of them it is decides whether there is anything to do at all.
        is_grave = worst[0] == "critical" or _contradict(context, drug)
        return ("warning" if is_grave else "info", worst[1], "")
    return worst


def _contradict(context: RuleContext, drug: GeneDrug) -> bool:
    results = results_for(context.session.record, drug.genes, (drug.rxcui,))
    return any(result.conflicts for result in results.values())


def _with_doubts(advice: Advice, row: Recommendation, context: RuleContext, unknown: Iterable[GeneResult]) -> Advice:
    """Return the same with the reasons why it is uncertain; it is never critical then."""
    if any(result.is_preliminary for result in advice.results):
        return replace(advice, band="preliminary", indicator="info", doubts=("The result is preliminary.",))
    if _has_new_cells(context.session.record):
        doubt = "After a liver or stem cell transplant the result may not apply."
        return replace(advice, band="transplant", indicator="info", doubts=(doubt,))
    doubts = [f"{result.gene} “{result.newest.wording}” cannot be translated." for result in unknown]
    for gene_result in advice.results:
        if gene_result.conflicts:
            texts = ", ".join(dict.fromkeys(f"“{reading.wording}”" for reading in gene_result.readings))
            doubts.append(f"Results for {gene_result.gene} differ: {texts}. Ask the laboratory.")
        elif len(gene_result.phenotypes) > 1:
            doubts.append(
                f"{gene_result.gene}: the report leaves open which: {' or '.join(gene_result.phenotypes).lower()}."
            )
    indicator = advice.indicator
    is_open = any(len(result.phenotypes) > 1 for result in advice.results)
    if indicator == "critical" and (is_open or not _knows_history(row, context)):
        indicator = "warning"
    return replace(advice, indicator=indicator, doubts=tuple(doubts))


def _knows_history(row: Recommendation, context: RuleContext) -> bool:
    """Whether a first course is known to be one, where that is what makes the advice critical."""
    is_first = row.population.startswith("never had")
    record = context.session.record
    return not is_first or record.was_requested("MedicationRequest") or record.was_requested("MedicationStatement")


def _has_new_cells(record: PatientRecord) -> bool:
    """Whether the patient has another person's liver or blood cells; an autologous transplant keeps the germline."""
    done = (procedure.code for procedure in record.facts(Procedure) if procedure.status == "completed")
    concepts = [
        concept
        for concept in (*(condition.code for condition in record.facts(Condition)), *done)
        if concept is not None
    ]
    return any(_is_of_new_cells(concept) for concept in concepts)


def _is_of_new_cells(concept: CodeableConcept) -> bool:
    return _names_new_cells(concept.words, tuple([coding.code for coding in concept.coding]))


def _names_new_cells(words: str, codes: tuple[str, ...]) -> bool:
    if _NOT_YET.search(words):
        return False
    if any(code.replace(".", "").upper().startswith(_NEW_CELLS) for code in codes):
        return True
    return states(_NEW_CELLS_IN_WORDS, words)


def is_quiet(action: str) -> bool:
    """Whether a class of actions changes nothing."""
    return action in _QUIET
