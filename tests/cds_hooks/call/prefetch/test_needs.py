"""The prefetch that a service asks for is what its advisors read, and no more."""

import re

from cds_hooks.call.prefetch.needs import Needs, templates_for, union_of
from cds_hooks.call.services import every_service, find_services


def test_only_what_is_needed_is_asked_for() -> None:
    templates = templates_for(Needs.of(analytes=("creatinine",), resources=("Condition",)))
    assert [template.key for template in templates] == ["patient", "labs", "conditions"]
    by_code = templates_for(Needs.of(analytes=("creatinine",), lab_codes=("1-1",)))
    assert [template.key for template in by_code] == ["patient", "labs"]
    assert {"1-1", "2160-0"} <= set(re.split(r"[|,&]", by_code[1].query))


def test_a_service_asks_for_what_its_advisors_read_together_and_requires_what_all_require() -> None:
    kidneys = Needs.of(analytes=("creatinine",), resources=("Condition",), required=("labs", "conditions"))
    together = union_of((kidneys, Needs.of(analytes=("potassium",), required=("labs",))))
    keys = {template.key: template.policy.required for template in templates_for(together)}
    assert keys == {"patient": True, "labs": True, "conditions": False}


def test_an_order_is_checked_against_what_relatives_had() -> None:
    order_safety = every_service(find_services())["order-safety"]
    assert "relatives" in [template.key for template in order_safety.templates]
