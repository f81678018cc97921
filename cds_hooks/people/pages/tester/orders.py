"""Drafted orders as a person writes them: found by the name of a drug or a test, with the dose in words.

Names and codes are those of the tables of `fhir/terminology` (RxNorm, LOINC); what they do not know can be ordered as
words alone, as an EHR may send it.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import uuid4

from cds_hooks.tools.kit.simulator.chart import Resource
from fhir.terminology.medications import RXNORM, rxnorm_names, table_rows

LOINC: Final = "http://loinc.org"
_MOST_FOUND: Final = 40


class Orderable(NamedTuple):
    """What can be ordered: the type of its resource, its name and its code; a code of "" is an order in words."""

    kind: str
    name: str
    system: str = ""
    code: str = ""


@cache
def _orderables() -> dict[str, Orderable]:
    """Return what can be ordered by name; of several with one name the first counts."""
    drugs = [*rxnorm_names(), *((row["rxcui"], row["name"]) for row in table_rows("ingredients.csv"))]
    labs = (row for row in table_rows("analytes.csv") if row["kind"] == "lab" and row["loinc"])
    tests = [(row["loinc"], f"{row['words']} (laboratory)") for row in labs]
    tests += [(row["loinc"], row["name"]) for row in table_rows("studies.csv") if row["name"]]
    tests += [(row["loinc"], row["name"]) for row in table_rows("retest_intervals.csv")]
    orderables = [Orderable("MedicationRequest", name, RXNORM, code) for code, name in drugs]
    orderables += [Orderable("ServiceRequest", name, LOINC, codes.partition(";")[0]) for codes, name in tests]
    return {orderable.name.lower(): orderable for orderable in reversed(orderables)}


def search_orderables(text: str) -> list[Orderable]:
    """Return the drug or test of exactly this name, else those with words that begin as those of the text, at most 40.

    Names that begin with the text come first, then shorter ones.
    """
    words = text.lower().split()
    if (exact := _orderables().get(" ".join(words))) is not None:
        return [exact]
    matches = [
        (not name.startswith(words[0]), len(name), orderable)
        for name, orderable in _orderables().items()
        if words and all(_begins_a_word(word, name) for word in words)
    ]
    return [orderable for _, _, orderable in sorted(matches)[:_MOST_FOUND]]


def _begins_a_word(word: str, name: str) -> bool:
    return name.startswith(word) or f" {word}" in name or f"({word}" in name or f"[{word}" in name


def compose(what: Orderable, dose: str, today: date) -> Resource:
    """Return the draft, still without its patient; the dose is in the words of a prescription, "" for none."""
    code: dict[str, Any] = {"text": what.name}
    if what.code:
        code = {"coding": [{"system": what.system, "code": what.code, "display": what.name}], "text": what.name}
    order = {
        "resourceType": what.kind,
        "id": f"draft-{uuid4().hex[:8]}",
        "status": "draft",
        "intent": "order",
        "authoredOn": today.isoformat(),
    }
    if what.kind == "ServiceRequest":
        return order | {"code": code}
    dosage = {"dosageInstruction": [{"text": dose}]} if dose else {}
    return order | {"medicationCodeableConcept": code} | dosage


def dose_of(draft: Resource) -> str:
    """Return the doses of a draft as it words them; "" where it has none in words."""
    dosages = draft.get("dosageInstruction")
    texts = [dosage.get("text") for dosage in dosages if isinstance(dosage, dict)] if isinstance(dosages, list) else []
    return "; ".join(text for text in texts if isinstance(text, str))


def follow(drafts: Sequence[Resource], actions: Iterable[Any]) -> list[Resource]:
    """Return the drafts after the actions of an accepted suggestion; what is no action changes nothing."""
    now = list(drafts)
    for action in actions:
        if not isinstance(action, dict):
            continue
        resource = action.get("resource")
        if action.get("type") == "delete":
            now = _without(now, str(action.get("resourceId") or _reference(resource)))
        elif isinstance(resource, dict) and action.get("type") in ("create", "update"):
            new = resource if resource.get("id") else {**resource, "id": f"draft-{uuid4().hex[:8]}"}
            now = [*_without(now, _reference(new)), new]
    return now


def _without(drafts: Iterable[Resource], reference: str) -> list[Resource]:
    return [draft for draft in drafts if _reference(draft) != reference]


def _reference(resource: Any) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}" if isinstance(resource, dict) else ""
