"""How services are put together for a site and addressed."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from cds_hooks.services import find_services, services_for
from cds_hooks.services._declared import _EquationAdvisor
from cds_hooks.settings import Settings
from fhir.record.refusals import WhyNot
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import DeclarationError
from tests.cds_hooks.services.deciding import call_about
from tests.cds_hooks.services.test_declared_parts import DECLARED
from tests.cds_hooks.services.test_follow_up import FIVE


def _asked(**settings: Any) -> dict[str, set[str]]:
    found = services_for(Settings(**settings))
    return {name: {"Consent", "Flag"} & service.needs.resources for name, service in found.items()}


def test_clients_are_asked_whether_a_patient_opts_out_by_services_that_warn_of_no_harm() -> None:
    assert set().union(*_asked().values()) == set()
    asked = _asked(ask_opt_outs=True)
    warning = {name for name, service in find_services().items() if service.warns_of_harm}
    assert warning == {
        "discharge-medications", "genes-and-medications", "medication-review", "order-safety", "order-safety-dispatch",
    }  # fmt: skip
    assert {name for name, kinds in asked.items() if not kinds} == warning
    assert {kind for kinds in asked.values() for kind in kinds} == {"Consent"}
    with_flags = _asked(ask_opt_outs=True, opt_out_flags="http://ehr.example/flags|no-cds")
    assert {frozenset(kinds) for kinds in with_flags.values()} == {frozenset(), frozenset({"Consent", "Flag"})}


def test_a_share_is_of_a_model_that_a_service_shows() -> None:
    services_for(Settings(alert_share="mortality_5y=0.05"))
    with pytest.raises(
        DeclarationError, match=r"^CDS_ALERT_SHARE: no service shows a model nobody; there are "
    ) as refused:
        services_for(Settings(alert_share="nobody=0.05"))
    assert "mortality_5y, mortality_5y_small, readmission_30d, readmission_30d_early" in str(refused.value)


def test_a_declared_equation_says_below_which_value_nothing_is_shown() -> None:
    equation = find_equations()["hospital_score"]
    declared = replace(DECLARED, equation="hospital_score", output="score", hook="encounter-discharge")
    advice = asyncio.run(_EquationAdvisor(declared, equation, 12).decide(call_about(*FIVE)))
    assert advice.silences == [WhyNot("hospital_score", "below-threshold", "HOSPITAL score is below 12.")]
    (card,) = asyncio.run(_EquationAdvisor(declared, equation, 5).decide(call_about(*FIVE))).cards
    assert card.summary == "Result: 5 (intermediate (11.9 %)). Consider a talk."
    assert (card.detail or "").startswith("**HOSPITAL score 5** (intermediate (11.9 %)): shown here from 5 on.")
