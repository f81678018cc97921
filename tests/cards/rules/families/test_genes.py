"""Genes: every recommendation of the tables is what a patient with these results gets, and what is shown is bounded."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.families.genes.advice import Advice, advice_of
from cards.rules.families.genes.knowledge import ANY, GENE_DRUGS, REQUIRED_TESTS, GeneDrug, Recommendation
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from fhir.mapping.genomics.tables import GENES, NO_RESULT, phenotype_of
from fhir.terminology.medications import INGREDIENTS, RXNORM, Ingredient
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows, some_of
from tests.fhir.builders import observation

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
Json = dict[str, Any]

_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
_REASONS = {
    "coronary: acute coronary syndrome or PCI": "I21.4",
    "cardiovascular, neither ACS nor PCI": "I70.2",
    "neurovascular (stroke, TIA)": "I63.9",
}


def _known_keys(gene: str) -> frozenset[str]:
    return frozenset({"positive", "negative"}) if "*" in gene else GENES[gene].keys


def _result(gene: str, key: str) -> Json:
    """A result in words or as a score; an indeterminate one of an activity score gene as that word."""
    text = f"activity score {key}" if phenotype_of(gene, key) != key and key != "n/a" else key
    identity, code = f"result-{gene.replace('*', '-').replace(':', '-')}", {"text": f"{gene} result"}
    value = "indeterminate" if key == "n/a" else text
    return observation(code, when="2025-05-06", patient="case", id=identity, valueString=value)


def _context(drug: GeneDrug, row: Recommendation, *resources: Json) -> RuleContext:
    concept = {"coding": [{"system": RXNORM, "code": drug.rxcui}], "text": INGREDIENTS[drug.rxcui].name}
    more: Json = {"medicationCodeableConcept": concept}
    if row.population in _REASONS:
        more["reasonCode"] = [{"coding": [{"system": _ICD10, "code": _REASONS[row.population]}]}]
    found = [_result(gene, key) for gene, key in zip(drug.genes, row.keys, strict=True) if key != NO_RESULT]
    patient: Json = {"age": 9 if row.population == "children" else 60, "more": [*found, *resources]}
    if row.population.startswith("had it"):
        patient["active"] = [{"drug": "x", "days_ago": 100, "more": {"medicationCodeableConcept": concept}}]
        before = {"drug": "x", "days_ago": 240, "status": "completed", "more": {"medicationCodeableConcept": concept}}
        patient["active"].append(before)
    record = record_of(patient, AS_OF)
    session = PatientSession(record, drafts_of(draft_of({"drug": "x", "more": more})), signing=True)
    (drafted,) = session.drafted
    return RuleContext(session, drafted, Ingredient(drug.rxcui, INGREDIENTS[drug.rxcui].name))


def _advice(drug: GeneDrug, row: Recommendation, *resources: Json) -> Advice | None:
    return advice_of(_context(drug, row, *resources))


@pytest.mark.sampled
@for_rows("rxcui", some_of(sorted(GENE_DRUGS), 3))
def test_a_patient_with_the_keys_of_a_row_gets_what_the_row_says(rxcui: str) -> None:
    drug = GENE_DRUGS[rxcui]
    for row in drug.rows.values():
        is_open = any(key in ("n/a", "Indeterminate") for key in row.keys)
        if row.population.endswith("no alternative available") or all(key == NO_RESULT for key in row.keys):
            continue
        pairs = zip(drug.genes, row.keys, strict=True)
        if is_open and any(key not in _known_keys(gene) for gene, key in pairs):
            continue
        advice = _advice(drug, row)
        assert advice is not None, row
        if row.indicator == "silent":
            assert advice.indicator == "silent", row
        else:
            assert (advice.band, advice.indicator) == (row.action.name, row.indicator), row


def test_only_the_drugs_of_the_proposal_can_be_critical() -> None:
    loud = {drug.rxcui for drug in GENE_DRUGS.values() for row in drug.rows.values() if row.indicator == "critical"}
    bands = {
        code
        for rule in rule_book().rules
        if rule.family.name == "genes" and any(band.declared.indicator == "critical" for band in rule.bands)
        for side in rule.trigger.singles
        for code in side.ingredients
    }
    assert bands
    assert bands <= loud  # one that only a guideline names is at most a warning


def _row(name: str, *keys: str, population: str = ANY) -> tuple[GeneDrug, Recommendation]:
    rxcui = next(code for code in GENE_DRUGS if INGREDIENTS[code].name == name)
    drug = GENE_DRUGS[rxcui]
    return drug, drug.rows[population, keys]


def test_a_doubtful_result_is_never_critical() -> None:
    drug, row = _row("codeine", "≥3.0")
    beside = {**_result("CYP2D6", "1.0"), "id": "second"}
    advice = _advice(drug, row, beside)
    assert advice is not None
    assert (advice.band, advice.indicator) == ("avoid", "warning")
    assert "differ" in " ".join(advice.doubts)


def test_a_test_is_asked_for_before_drugs_of_the_table_only() -> None:
    (rule,) = [one for one in rule_book().rules if one.id == "pgx-test-before"]
    drugs = {code for side in rule.trigger.singles for code in side.ingredients}
    assert drugs == set(REQUIRED_TESTS)
