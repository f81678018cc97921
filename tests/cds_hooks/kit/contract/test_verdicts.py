"""What every check that calls a server sends and finds, on servers that are wrong in one way each."""

import json

import pytest

from tests.cds_hooks.kit.contract.verdicts import PROFILES, VERDICTS, verdicts

PINNED = json.loads(VERDICTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_found_on_a_server_that_is_wrong_in_one_way(name: str) -> None:
    assert verdicts(name) == PINNED[name]


def test_every_server_is_pinned() -> None:
    assert list(PINNED) == list(PROFILES)
