"""Genetic results as laboratories send them, from [form, gene, words, more] of the cases of tests/cases/drafts."""

from datetime import datetime, timedelta
from typing import Any

from fhir.mapping.genomics.tables import GENES

Json = dict[str, Any]
_LOINC = "http://loinc.org"
_TBD = "http://hl7.org/fhir/uv/genomics-reporting/CodeSystem/tbd-codes-cs"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def genetic_results(entries: list[Any], as_of: datetime) -> list[Json]:
    """The Observations of these results, each of 200 days ago where it does not say otherwise."""
    found = []
    for number, (form, gene, words, *more) in enumerate(entries):
        resource = {
            "resourceType": "Observation", "id": f"gene-{number}", "status": "final",
            "subject": {"reference": "Patient/case"},
            "effectiveDateTime": (as_of - timedelta(days=200)).date().isoformat(), **_FORMS[form](gene, words),
        }  # fmt: skip
        found.append(resource | (more[0] if more else {}))
    return found


def _loinc(code: str, display: str = "") -> Json:
    return {"coding": [{"system": _LOINC, "code": code, **({"display": display} if display else {})}]}


def _studied(gene: str) -> Json:
    coding = {"system": "http://www.genenames.org/geneId", "code": GENES[gene].hgnc, "display": gene}
    return {"code": _loinc("48018-6"), "valueCodeableConcept": {"coding": [coding]}}


def _genotype(gene: str, words: str) -> Json:
    return {"code": _loinc("84413-4"), "valueCodeableConcept": {"text": words}, "component": [_studied(gene)]}


def _genotype_coded(gene: str, words: str) -> Json:
    coding = {"system": "http://www.pharmvar.org", "code": f"{gene}{words}", "display": f"{gene}{words}"}
    return {"code": _loinc("84413-4"), "valueCodeableConcept": {"coding": [coding]}}


def _haplotype(gene: str, words: str) -> Json:
    return {"code": _loinc("84414-2"), "valueCodeableConcept": {"text": words}, "component": [_studied(gene)]}


def _words(gene: str, words: str) -> Json:
    """The name of the test with the gene in it, and a text."""
    return {"code": {"text": gene}, "valueString": words}


def _answer(gene: str, code: str) -> Json:
    return {
        "code": {"text": f"{gene} gene product metabolic activity interpretation"},
        "valueCodeableConcept": _loinc(code),
    }


def _answer_by_loinc(loinc: str, code: str) -> Json:
    return {"code": _loinc(loinc), "valueCodeableConcept": _loinc(code)}


def _wrong_loinc(gene: str, code: str) -> Json:
    """The code of CYP2D6 with another gene in the component."""
    return {"code": _loinc("79715-9"), "valueCodeableConcept": _loinc(code), "component": [_studied(gene)]}


def _implication(drug: str, words: str) -> Json:
    """The new form; the drug by name, or by its RxNorm code."""
    assessed = {"coding": [{"system": _RXNORM, "code": drug}]} if drug.isdigit() else {"text": drug}
    answer = _loinc(words) if words.startswith("LA") else {"text": words}
    coded = {"coding": [{"system": _TBD, "code": "therapeutic-implication"}]}
    return {
        "code": coded,
        "component": [
            {"code": _loinc("51963-7"), "valueCodeableConcept": assessed},
            {"code": coded, "valueCodeableConcept": answer},
        ],
    }


def _old_implication(drug: str, code: str) -> Json:
    """The first form: the answer is the value of the observation itself."""
    assessed = {"coding": [{"system": _RXNORM, "code": drug}]}
    return {
        "code": _loinc("53040-2"),
        "valueCodeableConcept": _loinc(code),
        "component": [{"code": _loinc("51963-7"), "valueCodeableConcept": assessed}],
    }


def _panel(gene: str, words: str) -> Json:
    """One observation with a gene, a genotype and a phenotype as components that are only named in words."""
    genotype, _, phenotype = words.partition(" = ")
    return {
        "code": {"text": "Pharmacogenetic result"},
        "component": [
            {"code": {"text": "Gene"}, "valueString": gene},
            {"code": {"text": "Genotype"}, "valueString": genotype},
            {"code": {"text": "Phenotype"}, "valueString": phenotype},
        ],
    }


def _presence(allele: str, snomed: str) -> Json:
    return {"code": {"text": allele}, "valueCodeableConcept": {"coding": [{"code": snomed}]}}


_FORMS = {
    "genotype": _genotype, "genotype coded": _genotype_coded, "haplotype": _haplotype, "words": _words,
    "answer": _answer, "answer by LOINC": _answer_by_loinc, "wrong LOINC": _wrong_loinc, "implication": _implication,
    "old implication": _old_implication, "panel": _panel, "presence": _presence,
}  # fmt: skip
