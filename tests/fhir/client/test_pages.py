"""A next page is below the base address, or it is not fetched."""

import httpx
import pytest

from fhir.client.client import next_page
from fhir.client.errors import ForeignAddress

BASE = httpx.URL("https://ehr.example/api/fhir/")


@pytest.mark.parametrize(
    "link",
    [
        "https://ehr.example/api/fhir/Observation?_page=2",
        "https://ehr.example/api/fhir?_getpages=1",
        "https://ehr.example:443/api/fhir/Observation?_page=2",
        "HTTPS://EHR.example/api/fhir/x",
        "Observation?_page=2",
        "?_getpages=1",
    ],
)
def test_below_the_base_it_is_followed(link: str) -> None:
    assert next_page(link, BASE).host == "ehr.example"


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/api/fhir/Observation?_page=2",
        "http://ehr.example/api/fhir/Observation",
        "https://ehr.example:8443/api/fhir/Observation",
        "https://ehr.example/api/fhirs/Observation",
        "https://ehr.example/api/other",
        "https://ehr.example/api/fhir/../admin",
        "https://ehr.example/api/fhir/%2e%2e/admin",
        "https://ehr.example/api/fhir/..\\admin",
        "https://user@ehr.example/api/fhir/Observation",
        "https://ehr.example@elsewhere.example/api/fhir/x",
        "//elsewhere.example/api/fhir/x",
        "../admin",
        "https://ehr.example/api/fhir/x#y",
        "file:///etc/passwd",
        "https://[",
    ],
)
def test_anywhere_else_it_is_not(link: str) -> None:
    with pytest.raises(ForeignAddress):
        next_page(link, BASE)
