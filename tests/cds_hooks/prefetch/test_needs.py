"""Templates come from what is needed, and carry what is to be done without them."""

from pathlib import Path

import pytest

from cds_hooks.prefetch.needs import Needs, templates_for
from cds_hooks.services import find_services
from tests.conftest import ROOT

SERVICES = find_services()


def test_only_what_is_needed_is_asked_for() -> None:
    templates = templates_for(Needs.of(analytes=("creatinine",), resources=("Condition",)))
    assert [template.key for template in templates] == ["patient", "labs", "conditions"]


def test_what_no_template_brings_is_refused() -> None:
    with pytest.raises(ValueError, match="Goal"):
        templates_for(Needs.of(resources=("Goal",)))


def test_a_key_that_is_required_has_to_be_one_of_the_service() -> None:
    with pytest.raises(ValueError, match="labs"):
        templates_for(Needs.of(resources=("Condition",), required=("labs",)))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_key_of_a_service_has_words_a_policy_and_a_type(name: str) -> None:
    for template in SERVICES[name].templates:
        assert template.words
        assert template.policy.required == (template.policy.if_missing == "fail")
        assert template.type.__name__ == template.resource
    assert SERVICES[name].templates[0].policy.required


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

    A hysterectomy of longer ago is told by the problem list too (`childbearing`), and only keeps a card away.
    """
    sources = [path for floor in ("fhir", "cards", "cds_hooks", "models_onnx") for path in (ROOT / floor).rglob("*.py")]
    readers = {_name(path) for path in sources if ".procedures" in path.read_text()}
    assert readers == {
        "fhir/mapping/pregnancy.py",
        "fhir/mapping/childbearing.py",
        "fhir/mapping/stays.py",
        "fhir/mapping/features/coded.py",  # a feature of a site, which says itself how far back it looks
        "cards/rules/families/opioid/family.py",
        "cds_hooks/services/_equation.py",
        "cds_hooks/services/_anticoagulation.py",  # an ablation: the service asks for all of them (`whole_history`)
        "fhir/mapping/beside_problems.py",  # a valve that only a procedure tells of: one of longer ago is missed
        "cards/rules/families/genes/populations.py",  # why clopidogrel is ordered today
        "cards/rules/families/genes/advice.py",  # a transplant: an older one is a problem, too
        "cards/rules/families/orders/screening.py",  # a hysterectomy: see above
        "cards/coverage/evidence.py",  # an operation or a screening at any time: `whole_history`
        "cards/preventive/chart.py",
        "cards/vaccines/patient.py",  # a stem cell transplant: vaccines are given again in the two years after it
    }


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
