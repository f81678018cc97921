"""Every template of every service keeps to the restricted subset; what does not is named with its row."""

import pytest

from cds_hooks.prefetch.template import lint_query, lint_templates
from cds_hooks.services import find_services

SERVICES = find_services()
TOKENS = frozenset({"patientId", "userId", "encounterId"})


@pytest.mark.parametrize("protocol", ["1.0", "2.0", "3.0"])
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_our_templates_are_in_the_subset_for_every_hook_and_version(name: str, protocol: str) -> None:
    service = SERVICES[name]
    for hook in service.answers.values():
        assert lint_templates(service.templates, hook.tokens, protocol) == []


@pytest.mark.parametrize(
    "query",
    [
        "Patient/{{context.patientId}}",
        "{{context.userId}}",
        "Encounter/{{context.encounterId}}",
        "Practitioner/{{userPractitionerId}}",
        "Observation?patient={{context.patientId}}&code=http://loinc.org|4548-4&_count=1&_sort=-date",
        "Condition?patient={{context.patientId}}&code:in=http://example.org|ValueSet",
        "Observation?patient={{context.patientId}}&date=ge2024-01-01",
    ],
)
def test_what_is_in_the_subset_has_no_fault(query: str) -> None:
    assert list(lint_query(query, TOKENS)) == []


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("/Patient/{{context.patientId}}", "PRE-01"),
        ("https://ehr.example/fhir/Patient/{{context.patientId}}", "PRE-01"),
        ("Patient/{{context.patientId}}/Observation", "PRE-01"),
        ("Patient/1", "QRY-02"),
        ("?_type=Patient", "QRY-03"),
        ("Patient/{{context.patientId}}/$everything", "PRE-01"),
        ("Observation/$lastn?patient={{context.patientId}}", "QRY-03"),
        ("Patient/{{context.patientId}", "TOK-01"),
        ("Patient/{{patientId}}", "TOK-02"),
        ("MedicationRequest?_id={{context.draftOrders.id}}", "TOK-04"),
        ("Observation?patient={{context.patientId}}&date=ge{{today() - 90 days}}", "TOK-19"),
        ("Practitioner?_id={{context.userId}}", "TRAP-09"),
        ("Practitioner/{{context.userId}}", "TRAP-09"),
        ("Observation?patient={{context.patientId}}&code:not=a|b", "QRY-05"),
        ("Observation?patient={{context.patientId}}&code:text=sugar", "QRY-05"),
        ("Observation?patient={{context.patientId}}&date=ne2024-01-01", "QRY-06"),
        ("Observation?patient={{context.patientId}}&date=sa2024-01-01", "QRY-06"),
        ("Observation?patient={{context.patientId}}&_count=all", "QRY-07"),
        ("Observation?patient={{context.patientId}}&sort:desc=date", "QRY-05"),
        ("Observation?patient={{context.patientId}}&_sort=value-quantity", "QRY-08"),
        ("Observation?patient={{context.patientId}}&code=4548-4", "TRAP-10"),
        ("PractitionerRole?_id={{userPractitionerRoleId}}&_include=PractitionerRole:practitioner", "QRY-10"),
        ("Observation?patient={{context.patientId}}&_include=*", "QRY-10"),
        ("Observation?patient.name=peter", "QRY-10"),
        ("Observation?patient={{context.patientId}}&_summary=true", "QRY-10"),
        ("Observation?patient", "QRY-01"),
    ],
)
def test_what_is_outside_is_named_with_its_row(query: str, row: str) -> None:
    assert any(row in fault for fault in lint_query(query, TOKENS)), list(lint_query(query, TOKENS))


def test_dates_by_tokens_are_for_3_0() -> None:
    query = "Observation?patient={{context.patientId}}&date=ge{{today() - 90 days}}"
    assert list(lint_query(query, TOKENS, "3.0")) == []
