"""The forms of Documentation Templates and Rules (DTR): a Questionnaire for what a set of criteria leaves open.

Each criterion is one group: whether it holds, which a clinician answers, and what the chart shows about it, which an
application fills by FHIRPath (Structured Data Capture, initialExpression). A completed answer is evidence at the next
call; a form of an earlier version of the criteria is not.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from cards.coverage.order import Json
from cards.coverage.policy import CriteriaSet, Criterion, Payer, Policies
from cards.coverage.seen import Test

_SDC: Final = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire"
_DONE: Final = frozenset({"completed", "amended"})
_MET: Final = "met"
_DETAIL: Final = "detail"
_ICD10: Final = "http://hl7.org/fhir/sid/icd-10-cm"
_LOINC: Final = "http://loinc.org"
# What each variable of a form brings from the chart.
_QUERIES: Final = {
    "conditions": "Condition?patient={{%patient.id}}",
    "observations": "Observation?patient={{%patient.id}}&_sort=-date",
    "procedures": "Procedure?patient={{%patient.id}}&_sort=-date",
    "encounters": "Encounter?patient={{%patient.id}}&_sort=-date",
}


def version_of(criteria: CriteriaSet) -> str:
    """Return the version of a set of criteria: another one with every change of what is asked."""
    text = msgspec.json.encode(msgspec.to_builtins(criteria, str_keys=True), order="sorted")
    return hashlib.sha256(text).hexdigest()[:8]


def canonical(base: str, payer: Payer, criteria: CriteriaSet) -> str:
    """Return the address of a form with its version."""
    return f"{base}/Questionnaire/{payer.id}.{criteria.id}|{version_of(criteria)}"


def find_criteria(policies: Policies, name: str) -> tuple[Payer, CriteriaSet] | None:
    """Return the payer and the criteria behind the id of a form; None where there is no such form."""
    payer_id, _, criteria_id = name.partition(".")
    payer = policies.payers.get(payer_id)
    criteria = policies.criteria.get(f"{payer_id}/{criteria_id}") or policies.criteria.get(criteria_id)
    return (payer, criteria) if payer is not None and criteria is not None else None


def questionnaire(base: str, payer: Payer, criteria: CriteriaSet) -> Json:
    """Return the form of a set of criteria."""
    url, _, version = canonical(base, payer, criteria).partition("|")
    items = [_group(criterion) for criterion in criteria.criteria if criterion.question]
    used = {name for criterion in criteria.criteria for name, _ in _expressions(criterion.test)}
    return {
        "resourceType": "Questionnaire",
        "id": f"{payer.id}.{criteria.id}",
        "extension": [_launch_context(), *(_variable(name) for name in _QUERIES if name in used)],
        "url": url,
        "version": version,
        "name": "".join(part.capitalize() for part in f"{payer.id}-{criteria.id}".split("-")),
        "title": f"{payer.name}: what has to be documented",
        "status": "active",
        "subjectType": ["Patient"],
        "item": items,
    }


def _launch_context() -> Json:
    name = {"system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext", "code": "patient"}
    parts = [{"url": "name", "valueCoding": name}, {"url": "type", "valueCode": "Patient"}]
    return {"url": f"{_SDC}-launchContext", "extension": parts}


def _variable(name: str) -> Json:
    expression = {"name": name, "language": "application/x-fhir-query", "expression": _QUERIES[name]}
    return {"url": "http://hl7.org/fhir/StructureDefinition/variable", "valueExpression": expression}


def _group(criterion: Criterion) -> Json:
    detail: Json = {"linkId": f"{criterion.id}.{_DETAIL}", "text": criterion.question, "type": "string"}
    expressions = [expression for _, expression in _expressions(criterion.test)]
    if expressions:
        expression = {"language": "text/fhirpath", "expression": f"({' | '.join(expressions)}).first()"}
        detail["extension"] = [{"url": f"{_SDC}-initialExpression", "valueExpression": expression}]
    met = {"linkId": f"{criterion.id}.{_MET}", "text": "Does this hold for the patient?", "type": "boolean"}
    return {"linkId": criterion.id, "text": criterion.text, "type": "group", "item": [met, detail]}


def _expressions(test: Test) -> Iterator[tuple[str, str]]:
    """Yield the variables that a test reads, and the FHIRPath of what the chart shows about it, as text."""
    ((name, wanted),) = test.items()
    if name in ("any", "all"):
        for part in wanted:
            yield from _expressions(part)
    elif name == "not":
        yield from _expressions(wanted)
    elif name in ("count_at_least", "count_less_than"):
        for part in wanted["of"]:
            yield from _expressions(part)
    elif name == "condition" and wanted.get("icd10"):
        codes = " or ".join(f"code.startsWith('{code}')" for code in wanted["icd10"][:20])
        coding = f"code.coding.where(system = '{_ICD10}' and ({codes}))"
        yield "conditions", f"%conditions.entry.resource.where({coding}.exists()).code.coding.code"
    elif name == "observation" and wanted.get("loinc"):
        codes = " or ".join(f"code = '{code}'" for code in wanted["loinc"])
        coding = f"code.coding.where(system = '{_LOINC}' and ({codes}))"
        results = f"%observations.entry.resource.where({coding}.exists() and value.exists())"
        words = "value.value.toString() & ' ' & value.unit & ', ' & effective.toString()"
        yield "observations", f"{results}.select({words})"
    elif name == "procedure" and wanted.get("codes"):
        codes = " or ".join(f"code = '{code}'" for code in wanted["codes"])
        done = f"%procedures.entry.resource.where(code.coding.where({codes}).exists())"
        yield "procedures", f"{done}.select(performed.toString())"
    elif name == "encounter":
        yield "encounters", "%encounters.entry.resource.where(status = 'finished').select(period.start.toString())"


def package(base: str, policies: Policies, names: Iterable[str]) -> Json | None:
    """Return the forms of these ids as the answer of $questionnaire-package; None where none of them is known."""
    named_forms = (find_criteria(policies, name) for name in dict.fromkeys(names))
    forms = [questionnaire(base, *form) for form in named_forms if form is not None]
    if not forms:
        return None
    bundles = [{"resourceType": "Bundle", "type": "collection", "entry": [_entry(form)]} for form in forms]
    parameters = [{"name": "PackageBundle", "resource": bundle} for bundle in bundles]
    return {"resourceType": "Parameters", "parameter": parameters}


def _entry(form: Json) -> Json:
    return {"fullUrl": f"{form['url']}|{form['version']}", "resource": form}


def names_in(canonicals: Iterable[Any]) -> Iterator[str]:
    """Return the ids of forms in their addresses."""
    for address in canonicals:
        if isinstance(address, str) and "/Questionnaire/" in address:
            yield address.rpartition("/Questionnaire/")[2].partition("|")[0]


def answers_of(
    responses: Iterable[Json], policies: Policies, patient_id: str
) -> Mapping[str, Mapping[str, tuple[frozenset[str], str]]]:
    """Return by payer and set of criteria which ones a clinician affirmed, and the reference of the newest answer.

    Only completed answers of this patient count, to the form of the criteria as they are now.
    """
    answers: dict[str, dict[str, tuple[frozenset[str], str]]] = {}
    for response in sorted(responses, key=lambda entry: str(entry.get("authored", ""))):
        subject = (response.get("subject") or {}).get("reference")
        if response.get("status") not in _DONE or subject not in (f"Patient/{patient_id}", None):
            continue
        address = str(response.get("questionnaire", ""))
        for name in names_in([address]):
            form = find_criteria(policies, name)
            if form is None or address.rpartition("|")[2] != version_of(form[1]):
                continue
            affirmed = frozenset(_affirmed(response.get("item")))
            reference = f"QuestionnaireResponse/{response.get('id')}"
            answers.setdefault(form[0].id, {})[form[1].id] = (affirmed, reference)
    return answers


def _affirmed(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        yield from _affirmed(item.get("item"))
        name, _, part = str(item.get("linkId", "")).rpartition(".")
        answers = item["answer"] if isinstance(item.get("answer"), list) else ()
        values = [answer.get("valueBoolean") for answer in answers if isinstance(answer, dict)]
        if part == _MET and values == [True]:
            yield name
