"""Templates come from what is needed, and carry what is to be done without them."""

import re
from pathlib import Path
from typing import get_args

import pytest

from cds_hooks.kit.simulator.fhir_server import Mode
from cds_hooks.prefetch import fetch
from cds_hooks.prefetch.needs import Needs, templates_for
from cds_hooks.security.addresses import RefusedReason
from cds_hooks.services import find_services
from fhir.client import errors
from fhir.record.refusals import WhyNot
from tests.conftest import ROOT
from tests.each import for_rows

SERVICES = find_services()


def test_only_what_is_needed_is_asked_for() -> None:
    templates = templates_for(Needs.of(analytes=("creatinine",), resources=("Condition",)))
    assert [template.key for template in templates] == ["patient", "labs", "conditions"]
    by_code = templates_for(Needs.of(analytes=("creatinine",), lab_codes=("1-1",)))
    assert [template.key for template in by_code] == ["patient", "labs"]
    assert {"1-1", "2160-0"} <= set(re.split(r"[|,&]", by_code[1].query))


def test_what_no_template_brings_is_refused() -> None:
    with pytest.raises(ValueError, match="Goal"):
        templates_for(Needs.of(resources=("Goal",)))


@pytest.mark.parametrize(
    ("analytes", "words"),
    [
        (("sex_at_birth",), ["sex at birth"]),
        (("sex_at_birth", "pregnancy_signs"), ["pregnancy tests and dates"]),
        (("potassium",), []),
    ],
)
def test_signs_of_a_pregnancy_are_called_by_what_is_asked_for(analytes: tuple[str, ...], words: list[str]) -> None:
    templates = templates_for(Needs.of(analytes=analytes))
    assert [template.words for template in templates if template.key == "pregnancy"] == words


def test_a_key_that_is_required_has_to_be_one_of_the_service() -> None:
    with pytest.raises(ValueError, match="labs"):
        templates_for(Needs.of(resources=("Condition",), required=("labs",)))


def test_a_client_of_3_0_is_asked_for_no_older_procedures_than_are_read() -> None:
    procedures = next(template for template in SERVICES["order-safety"].templates if template.key == "procedures")
    assert procedures.query_for("2.0") == procedures.query_for("1.1") == procedures.query
    assert procedures.query_for("3.0") == f"{procedures.query}&date=ge{{{{today() - 1098 days}}}}"


def test_a_service_that_reads_the_whole_history_asks_for_all_procedures() -> None:
    procedures = next(each for each in SERVICES["preventive-services"].templates if each.key == "procedures")
    assert procedures.query_for("3.0") == procedures.query


def test_procedures_are_read_for_a_pregnancy_a_stay_and_the_last_three_years_only() -> None:
    """Whoever reads older ones takes `since` out of the template.

    `preventive-services` reads them all, and asks for them all (`whole_history`).

    A hysterectomy of longer ago is told by the problem list too (`childbearing`), and only keeps a card away. So is an
    implant of longer ago, and by its Device (`implants`).
    """
    sources = [path for floor in ("fhir", "cards", "cds_hooks", "models_onnx") for path in (ROOT / floor).rglob("*.py")]
    readers = {_name(path) for path in sources if ".procedures" in path.read_text()}
    assert readers == {
        "fhir/mapping/pregnancy.py", "fhir/mapping/childbearing.py", "fhir/mapping/stays.py",
        "fhir/mapping/features/coded.py", "cards/rules/families/opioid/family.py", "cds_hooks/services/_equation.py",
        "cds_hooks/services/_anticoagulation.py", "fhir/mapping/conditions.py",
        "cards/rules/families/genes/knowledge.py", "cards/rules/families/genes/advice.py",
        "cards/rules/families/orders/screening.py", "cards/coverage/evidence.py", "cards/preventive/chart.py",
        "cards/vaccines/patient.py", "fhir/mapping/declined.py", "fhir/mapping/implants.py",
    }  # fmt: skip


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_what_is_missing_is_said_but_for_what_only_adds_to_the_rest() -> None:
    """The queries stand on docs/reference/hooks.md; here what is done without an answer, and since when is read."""
    types = """AllergyIntolerance Appointment CarePlan ClaimResponse Condition Consent Coverage Device DeviceRequest
        DiagnosticReport DocumentReference Encounter FamilyMemberHistory Flag Immunization MedicationAdministration
        MedicationDispense MedicationRequest MedicationStatement Procedure QuestionnaireResponse ServiceRequest"""
    made = {each.key: each for each in templates_for(Needs.of(resources=types.split()))}
    said = "allergies conditions consents coverages encounters flags immunizations medications statements"
    assert {key for key, template in made.items() if template.policy.if_missing == "say"} == set(said.split())
    assert made["patient"].policy.if_missing == "fail"
    since = {"administrations": ("effective-time", 3), "procedures": ("date", 1098)}
    assert {key: template.since for key, template in made.items() if template.since is not None} == since
    history = ("Procedure", "DiagnosticReport")
    whole = {each.key: each for each in templates_for(Needs.of(resources=types.split(), whole_history=history))}
    assert whole["reports"] == made["reports"], "all of them are asked for in any case"
    assert (whole["procedures"].since, whole["procedures"].policy.if_missing) == (None, "say")
    assert whole["administrations"].since == ("effective-time", 3)


def test_what_cannot_be_needed_is_said_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="no prefetch template brings Conditions; did you mean Condition") as refused:
        templates_for(Needs.of(resources=("Conditions",)))
    assert str(refused.value) == (
        "no prefetch template brings Conditions; did you mean Condition? A new resource type needs an entry in "
        "cds_hooks.prefetch.needs._SEARCHES"
    )
    with pytest.raises(ValueError, match="Goal") as refused:
        templates_for(Needs.of(resources=("Goal", "Patient", "Observation")))
    assert str(refused.value) == (
        "no prefetch template brings Goal; a new resource type needs an entry in cds_hooks.prefetch.needs._SEARCHES"
    )
    with pytest.raises(ValueError, match="required") as refused:
        templates_for(Needs.of(resources=("Condition",), required=("labs", "conditions")))
    assert str(refused.value) == (
        "required=['labs']: the service has no such prefetch keys; it has patient, conditions"
    )


# docs/prefetch.md names every key, every reason and every mode there is.
PAGE = (ROOT / "docs/prefetch.md").read_text()
KEYS = sorted({template.key for service in find_services().values() for template in service.templates})
OURS = {each.reason for each in vars(fetch).values() if isinstance(each, WhyNot)}
OF_THE_SERVER = {each.reason for each in errors.FetchError.__subclasses__()}
REFUSED = set(get_args(RefusedReason)) - {"not-registered", "malformed", "address"}  # said as not-allowed


@for_rows("name", [*KEYS, *sorted(OURS | OF_THE_SERVER | REFUSED)])
def test_it_is_in_a_table(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`", PAGE, re.MULTILINE)


@for_rows("mode", [mode for mode in get_args(Mode) if mode != "normal"])
def test_every_mode_of_the_server_is_named(mode: str) -> None:
    assert f"`{mode}`" in PAGE
