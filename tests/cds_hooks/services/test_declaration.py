"""A service that is declared wrongly is refused where it is declared, with the name of what is wrong."""

from dataclasses import replace
from typing import Any

import pytest

from cds_hooks.prefetch.needs import Needs
from cds_hooks.services import Advice, ServiceInput, find_services
from models_onnx.errors import DeclarationError

SERVICE = find_services()["vaccines-due"]


def _decide(call: ServiceInput) -> Advice:
    raise NotImplementedError(call)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"id": "Vaccines due"}, "the id 'Vaccines due' is a part of the address"),
        ({"id": ""}, "the id '' is a part of the address"),
        ({"hooks": ()}, "vaccines-due answers no hook"),
        ({"hooks": "patient-view"}, r"a tuple of one entry is written with a comma, \('patient-view',\)"),
        ({"hooks": ("patient-veiw",)}, "there is no hook 'patient-veiw'; there are patient-view, "),
        ({"decide": _decide}, "decide must be declared with `async def`"),
    ],
)
def test_a_service_that_cannot_be_served_is_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        replace(SERVICE, **members)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"resources": "Condition"}, r"resources is 'Condition'; .*, \('Condition',\)$"),
        ({"required": "labs"}, r"required is 'labs'; .*, \('labs',\)$"),
        ({"analytes": ("potasium",)}, "analyte 'potasium' is not in .*; did you mean potassium"),
        ({"features": ("inr",)}, r"features are objects, not 'inr': write features_named\(\('inr',\)\)"),
    ],
)
def test_needs_that_no_template_can_bring_are_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        Needs.of(**members)
