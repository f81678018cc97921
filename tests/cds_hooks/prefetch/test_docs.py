"""docs/prefetch.md names every key, every reason and every mode there is."""

import re
from typing import get_args

import pytest

from cds_hooks.kit.simulator.fhir_server import Mode
from cds_hooks.prefetch import fetch
from cds_hooks.security.addresses import RefusedReason
from cds_hooks.services import find_services
from fhir.client import errors
from fhir.record.refusals import WhyNot
from tests.conftest import ROOT

PAGE = (ROOT / "docs/prefetch.md").read_text()
KEYS = sorted({template.key for service in find_services().values() for template in service.templates})
OURS = {each.reason for each in vars(fetch).values() if isinstance(each, WhyNot)}
OF_THE_SERVER = {each.reason for each in errors.FetchError.__subclasses__()}
REFUSED = set(get_args(RefusedReason)) - {"not-registered", "malformed", "address"}  # said as not-allowed


@pytest.mark.parametrize("name", [*KEYS, *sorted(OURS | OF_THE_SERVER | REFUSED)])
def test_it_is_in_a_table(name: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`", PAGE, re.MULTILINE)


@pytest.mark.parametrize("mode", [mode for mode in get_args(Mode) if mode != "normal"])
def test_every_mode_of_the_server_is_named(mode: str) -> None:
    assert f"`{mode}`" in PAGE
