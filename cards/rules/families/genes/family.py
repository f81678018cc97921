"""Genes: the words of conditions, placeholders and corrections that only these rules use.

Warfarin goes by CPIC's flow chart of 2017 (cpicpgx/cpic-data@459e3ebdccdc): the genotype decides, not a phenotype name.
The card gives no milligrams: the published algorithms need age, height, weight and interacting drugs, and their inputs
differ. Ancestry, which the chart asks for, is not used by this project.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from cards.extension import Fact
from cards.rules.conditions.condition import TEXT, Truth, flag, members, needs, one_of, with_value
from cards.rules.engine.family import Family, Placeholder, written
from cards.rules.families.genes.advice import advice_of, is_untested, knows_results, results_for
from cards.rules.families.genes.knowledge import GENE_DRUGS, REQUIRED_TESTS, TestBefore, lower_dose
from cards.rules.families.genes.wording import (
    detail,
    gene_facts,
    result_words,
    summary,
    time_to_test,
)
from cards.rules.language.rule import Asks, OrderChange
from cards.rules.patient.context import RuleContext
from fhir.mapping.genomics.results import GeneResult
from fhir.record.measurement import GENOMICS

WARFARIN_GENES: Final = ("CYP2C9", "VKORC1")
_POOR = frozenset({"0.0", "0.5"})
_NORMAL = frozenset({"2.0"})
_SENSITIVE = frozenset({"-1639 AA", "-1639 AG"})


def warfarin_says(results: Mapping[str, GeneResult]) -> str | None:
    """ "poor" for poor metabolism by CYP2C9, "sensitive" where an algorithm gives another dose; None for neither.

    Without both genes the chart doses without genetics, but for poor metabolism, which stands alone.
    """
    cyp2c9 = set(_keys(results, "CYP2C9"))
    vkorc1 = set(_keys(results, "VKORC1"))
    if cyp2c9 and cyp2c9 <= _POOR:
        return "poor"
    if not cyp2c9 or not vkorc1:
        return None
    return "sensitive" if cyp2c9 - _NORMAL or vkorc1 & _SENSITIVE else None


def _keys(results: Mapping[str, GeneResult], gene: str) -> tuple[str, ...]:
    result = results.get(gene)
    return result.keys if result is not None and not result.is_preliminary else ()


_GENES = needs("Observation", "Condition", "MedicationRequest", "Procedure", analytes=(GENOMICS,))
_USES = frozenset({"genes"})
_INDICATORS = one_of("info", "warning", "critical")


def _gene_advice(wanted: Mapping[str, str], context: RuleContext) -> Truth:
    advice = advice_of(context)
    if advice is None:
        return False if knows_results(context.session.record) else None
    return (advice.band, advice.indicator) == (wanted["says"], wanted["indicator"])


def _warfarin(wanted: str, context: RuleContext) -> Truth:
    results = _warfarin_results(context)
    if not results and not knows_results(context.session.record):
        return None
    return warfarin_says(results) == wanted


def _warfarin_facts(_wanted: str, context: RuleContext) -> list[Fact]:
    return [
        Fact("gene", result_words(result), effective=_date(result), source=result.newest.source)
        for result in _warfarin_results(context).values()
        if result.keys
    ]


def _warfarin_results(context: RuleContext) -> dict[str, GeneResult]:
    return results_for(context.session.record, WARFARIN_GENES, (context.ingredient.rxcui,))


def _date(result: GeneResult) -> str | None:
    return result.newest.time.text if result.newest.time is not None else None


def _warfarin_words(context: RuleContext) -> str | None:
    known_results = [warfarin_result for warfarin_result in _warfarin_results(context).values() if warfarin_result.keys]
    return " and ".join(result_words(result) for result in known_results) or None


def _lower(context: RuleContext) -> OrderChange | None:
    advice = advice_of(context)
    return lower_dose(context, advice.row) if advice is not None and advice.row is not None else None


def _asks(context: RuleContext) -> Asks:
    """Return "end" where the row of the patient's results advises to leave the drug, or there is none."""
    row = advice.row if (advice := advice_of(context)) is not None else None
    return "end" if row is None or row.action.name in ("avoid", "avoid_unless") else "change"


def _not_known(context: RuleContext) -> tuple[str, str] | None:
    if knows_results(context.session.record):
        return None
    return "genetic-results-missing", "the genetic results did not come with this call."


def _nothing_found(rule: str, context: RuleContext) -> tuple[str, str]:
    """No result of the genes that the rule asks about came, or what came changes nothing of this order."""
    rxcui = context.ingredient.rxcui
    genes = _genes_of(rule, rxcui)
    results = results_for(context.session.record, genes, (rxcui,))
    if not results:
        none = f"no {' or '.join(genes)} result came with this call"
        if rule == _TEST_BEFORE:
            return "within-limits", f"{none}; the test is asked for only before a first course or above a dose."
        return "gene-result-missing", f"{none}, so this was not checked."
    texts = "; ".join(f"{result_words(result)}{_dated(result)}" for result in results.values())
    if rule == _TEST_BEFORE:
        return "within-limits", f"a result is on record: {texts}."
    lacking = [gene for gene in genes if gene not in results]
    without = f"; no result of {' or '.join(lacking)} came" if lacking else ""
    return "within-limits", f"looked: {texts}{without}. No recommendation here changes this order."


_TEST_BEFORE = "pgx-test-before"


def _genes_of(rule: str, rxcui: str) -> tuple[str, ...]:
    """Return the genes that a rule asks about: of the required test, of warfarin's chart, or of the recommendations."""
    if rule == _TEST_BEFORE:
        return REQUIRED_TESTS[rxcui].genes
    return WARFARIN_GENES if rule == "pgx-warfarin" else GENE_DRUGS[rxcui].genes


def _dated(result: GeneResult) -> str:
    date = _date(result)
    return f" ({date[:10]})" if date else " (without a date)"


def _test(context: RuleContext) -> TestBefore | None:
    return REQUIRED_TESTS.get(context.ingredient.rxcui)


FAMILY = Family(
    "genes",
    placeholders={
        "gene_summary": Placeholder(summary, "x" * 136),
        "gene_detail": Placeholder(detail, "x" * 600),
        "test_genes": Placeholder(written(_test, lambda test: " or ".join(test.genes)), "TPMT or NUDT15"),
        "test_danger": Placeholder(written(_test, attrgetter("danger")), "Stevens-Johnson syndrome"),
        "test_when": Placeholder(
            written(_test, time_to_test),
            "the first course; the label asks for it by ancestry, which is not looked at here",
        ),
        "warfarin_genes": Placeholder(
            _warfarin_words, "CYP2C9 intermediate metabolizer (activity score 1.5) and VKORC1 -1639 AG"
        ),
    },
    conditions=(
        with_value(
            "gene_advice",
            members(("says", "indicator"), says=TEXT, indicator=_INDICATORS),
            _gene_advice,
            "the genes say {0[says]} ({0[indicator]})".format,
            "the patient's results for the drug's genes give this advice (a class of CPIC's or FDA's recommendations, "
            "or `unknown_allele`, `preliminary`, `transplant`, `indication_unknown`), as severe as `indicator`",
            _USES,
            lambda _wanted, context: gene_facts(context),
            _GENES,
        ),
        flag(
            "gene_untested",
            is_untested,
            "no result of a gene is on record that is to be tested before the drug",
            uses=_USES,
            needs=_GENES,
        ),
        with_value(
            "warfarin_genes",
            one_of("poor", "sensitive"),
            _warfarin,
            "CYP2C9 and VKORC1 by CPIC's flow chart: {}".format,
            "CYP2C9 and VKORC1 by CPIC's flow chart for warfarin: `poor`, `sensitive`",
            _USES,
            _warfarin_facts,
            _GENES,
        ),
    ),
    gaps={"genes": _not_known},
    nothing_found=_nothing_found,
    asks=_asks,
    changes={"lower_dose": _lower},
)
