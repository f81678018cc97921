"""Templates that need others: their order is checked when a service is made, not when it is called."""

import pytest

from cds_hooks.prefetch.paths import WrongToken
from cds_hooks.prefetch.state import Templates
from cds_hooks.prefetch.template import Template
from cds_hooks.services import find_services


def _template(key: str, query: str, resource: str = "MedicationRequest") -> Template:
    return Template(key, query, resource, key)


ORDERS = _template("orders", "MedicationRequest?patient={{context.patientId}}")
PRODUCTS = _template("products", "Medication?_id={{%orders.entry.resource.medication.resolve().id}}", "Medication")


def test_a_template_stands_behind_what_it_needs() -> None:
    assert [each.key for each in Templates((ORDERS, PRODUCTS))] == ["orders", "products"]
    assert PRODUCTS.needs == ("orders",)
    with pytest.raises(ValueError, match="products: TOK-14, TOK-15: orders"):
        Templates((PRODUCTS, ORDERS))
    with pytest.raises(ValueError, match="products: TOK-14, TOK-15: orders"):
        Templates((PRODUCTS,))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_is_refused(length: int) -> None:
    circle = [_template(f"k{at}", f"Task?_id={{{{%k{(at + 1) % length}.id}}}}", "Task") for at in range(length)]
    with pytest.raises(ValueError, match="TOK-16"):
        Templates(circle)


def test_a_path_through_an_element_that_is_not_read_is_refused() -> None:
    requesters = _template("who", "Practitioner?_id={{%orders.entry.resource.requester.resolve().id}}", "Practitioner")
    with pytest.raises(ValueError, match="requester of MedicationRequest is not read"):
        Templates((ORDERS, requesters))


def test_a_token_outside_the_subset_is_refused() -> None:
    with pytest.raises(WrongToken, match="TOK-18"):
        _template("x", "Task?_id={{context.tasks.where(id=1).id}}", "Task")


def test_up_to_2_0_1_nobody_is_asked_for_what_needs_3_0() -> None:
    services = find_services()
    for version in ("1.0", "1.1", "2.0"):
        assert all(not each.is_of_3 for service in services.values() for each in service.templates_for_version(version))
    asked = {
        name: [each.key for each in service.templates_for_version("3.0") if each.is_of_3]
        for name, service in services.items()
    }
    assert asked["order-safety"] == ["orderedProducts", "draftedProducts"]
    assert asked["discharge-medications"] == ["orderedProducts"]
    assert asked["planning-conversation"] == []
