"""What a template means in one call."""

from datetime import date
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.call.prefetch.needs import Needs, templates_for
from cds_hooks.call.prefetch.paths import TokenValues, fill_template
from cds_hooks.call.prefetch.state import PrefetchState, inspect_prefetch
from cds_hooks.call.protocol.hooks import LIBRARY, PatientViewContext
from cds_hooks.call.protocol.request import read_request
from fhir.client.errors import InvalidQuery
from fhir.client.query import Search
from tests.each import for_rows
from tests.fhir.builders import bundle
from tests.fhir_charts import PATIENT

# Tokens: what a template means in one call.
TODAY = date(2024, 9, 13)


def _values(user: str | None = "Practitioner/pr1", patient: str = "p1", encounter: str | None = None) -> TokenValues:
    return TokenValues(PatientViewContext(user_id=user or "", patient_id=patient, encounter_id=encounter), TODAY)


@for_rows("patient", ["../Patient", "1?x=y", "1#", ".."])
def test_an_id_that_would_be_another_address_is_no_query(patient: str) -> None:
    with pytest.raises(InvalidQuery):
        fill_template("Patient/{{context.patientId}}", _values(patient=patient))


@given(st.text(min_size=1).filter(str.strip))
def test_whatever_an_id_holds_the_search_is_for_one_patient(patient: str) -> None:
    query = fill_template("Observation?patient={{context.patientId}}&_count=5", _values(patient=patient))
    assert isinstance(query, Search)
    (_, value), count = parse_qsl(query.form)
    assert count == ("_count", "5")
    assert value.replace("\\\\", "").replace("\\,", "").replace("\\|", "").replace("\\$", "").count(",") == 0


TEMPLATES = templates_for(
    Needs.of(
        analytes=("creatinine", "body_weight"), resources=("Condition", "MedicationRequest", "Procedure"),
        required=("labs",),
    )
).before_3()  # fmt: skip
AS_OF = 1795165200.0  # 2026-11-20T09:00:00Z
CONDITION = {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}}


def _bundle(*resources: dict[str, Any], **members: Any) -> dict[str, Any]:
    return bundle(*resources) | members


def _brought(**prefetch: Any) -> PrefetchState:
    body = {
        "hook": "patient-view",
        "hookInstance": "8a1f0ba6-7f0c-4d0a-9c1c-0f7c6d3a0b11",
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": prefetch,
    }
    request = read_request(orjson.dumps(body), {"patient-view": LIBRARY["patient-view"]})
    return inspect_prefetch(request.prefetch, TEMPLATES, AS_OF)


def test_what_is_missing_is_said_unless_its_policy_is_to_omit_it() -> None:
    state = _brought(patient=PATIENT, labs=None, body=None)
    assert [refusal.subject for refusal in state.refusals] == ["prefetch.conditions", "prefetch.medications"]
    assert state.note == "**Checked without** problems and medication orders (not sent by the EHR)."
    assert b'"procedures":{"state":"unobtainable","reason":"not-sent"}' in bytes(state.basis)
    failed = _brought(procedures={"resourceType": "Bundle", "entry": [{"response": {"status": 502}}]})
    assert "prefetch.procedures" in [refusal.subject for refusal in failed.refusals]


def test_results_with_other_codes_or_words_under_another_key_are_not_told_as_not_sent() -> None:
    others = dict.fromkeys(("body", "conditions", "procedures", "medications"), None)
    for code in ({"text": "Kreatinin i.S."}, {"coding": [{"system": "http://snomed.info/sct", "code": "70901006"}]}):
        quantity = {"value": 1.1, "unit": "mg/dL"}
        result = {"resourceType": "Observation", "status": "final", "code": {"text": "Creatinine"} | code}
        assert _brought(**others, patient=PATIENT, mine=_bundle(result | {"valueQuantity": quantity})).note is None


def test_what_is_old_is_said_as_old() -> None:
    others = dict.fromkeys(("labs", "body", "conditions", "procedures", "medications"), None)
    old = _bundle(CONDITION, meta={"lastUpdated": "2026-11-17T09:00:00Z"})
    state = _brought(**others | {"patient": PATIENT, "conditions": old})
    assert state.note == "**Not from today:** problems (the EHR looked it up 3 days ago)."
