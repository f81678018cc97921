"""Tokens: what a template means in one call."""

from datetime import date
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.prefetch.paths import NoValue, TokenValues, fill_template
from cds_hooks.protocol.hooks import OrderSelectContext, PatientViewContext
from fhir.client.errors import InvalidQuery
from fhir.client.query import Read, Search

TODAY = date(2024, 9, 13)


def _values(user: str | None = "Practitioner/pr1", patient: str = "p1", encounter: str | None = None) -> TokenValues:
    return TokenValues(PatientViewContext(user_id=user or "", patient_id=patient, encounter_id=encounter), TODAY)


def test_a_read_of_a_context_field() -> None:
    assert fill_template("Patient/{{context.patientId}}", _values()) == Read("Patient", "p1")


def test_a_search_keeps_its_separators() -> None:
    query = fill_template(
        "Observation?patient={{context.patientId}}&code=http://loinc.org|1-1,http://loinc.org|2-2", _values()
    )
    assert query == Search("Observation", (("patient", "p1"), ("code", "http://loinc.org|1-1,http://loinc.org|2-2")))


def test_the_user_is_a_whole_read() -> None:
    assert fill_template("{{context.userId}}", _values("PractitionerRole/7")) == Read("PractitionerRole", "7")


@pytest.mark.parametrize("user", ["Patient/7", "7", "", "PractitionerRole/7", "Practitioner/"])
def test_a_user_of_another_type_gives_a_user_token_no_value(user: str) -> None:
    with pytest.raises(NoValue):
        fill_template("Practitioner/{{userPractitionerId}}", _values(user))


@pytest.mark.parametrize(
    "token", ["context.encounterId", "context.nothing", "context.userId.id", "patientId", "%patient.id", "context.", ""]
)
def test_what_the_call_does_not_have_has_no_value(token: str) -> None:
    with pytest.raises(NoValue):
        fill_template(f"Encounter?_id={{{{{token}}}}}", _values())


def test_a_field_that_is_no_single_value_has_no_value() -> None:
    context = OrderSelectContext(user_id="Practitioner/1", patient_id="p1", selections=("A/1",), draft_orders=None)  # type: ignore[arg-type] # it is not looked at
    for name in ("selections", "draftOrders"):
        with pytest.raises(NoValue):
            fill_template(f"MedicationRequest?_id={{{{context.{name}}}}}", TokenValues(context, TODAY))


@pytest.mark.parametrize("token", ["today() - 999999 days", "today() - 1 years", "now()", "today"])
def test_other_dates_have_no_value(token: str) -> None:
    with pytest.raises(NoValue):
        fill_template(f"Observation?date=ge{{{{{token}}}}}", _values())


@pytest.mark.parametrize("patient", ["../Patient", "1?x=y", "1#", ".."])
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


def test_a_read_has_one_id_and_a_search_pairs() -> None:
    orders = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Task", "id": name}} for name in "ab"]}
    values = TokenValues({"patientId": "p1"}, TODAY, {"orders": orders})
    ids = "{{%orders.entry.resource.id}}"
    assert fill_template(f"Task?_id={ids}", values) == Search("Task", (("_id", "a,b"),))
    for template in (f"Task/{ids}", "Task?_id", "Task?_id=1&status"):
        with pytest.raises(InvalidQuery):
            fill_template(template, values)


def test_what_has_no_value_says_which_keys_are_not_known() -> None:
    with pytest.raises(NoValue) as refused:
        TokenValues({}, TODAY, {"a": None}).values_of("%a.entry.resource.id | %b.entry.resource.id")
    assert refused.value.unknown == ("b",)
    assert str(refused.value) == "this call has no value for {{%a.entry.resource.id | %b.entry.resource.id}}"
