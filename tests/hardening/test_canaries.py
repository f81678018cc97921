"""Marks planted in every string, name, header and address of some hundred calls: none comes out where it must not."""

import logging

import pytest

from cds_hooks.telemetry.logs import configure_logs, log
from tests.hardening.canaries import Found, hunt
from tests.hardening.planting import MARK

CALLS = 300


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What came of the calls."""
    return hunt(CALLS, seed=2, folder=tmp_path_factory.mktemp("canaries"))


@pytest.mark.slow
def test_no_mark_is_printed_counted_or_answered_in_an_error(found: Found) -> None:
    assert found.leaks == []


@pytest.mark.slow
def test_the_hunt_was_one(found: Found) -> None:
    assert sum(found.sent.values()) == CALLS
    assert len(found.sent) == 9
    assert found.planted > 20 * CALLS
    assert found.statuses[200] > CALLS / 10
    assert {400, 404, 405, 412, 415} <= set(found.statuses)
    assert not any(status >= 500 for status in found.statuses)
    assert all(size > 0 for size in found.searched.values())
    assert set(found.searched) == {"stdout and stderr", "metrics", "error bodies", "response headers"}


@pytest.mark.parametrize("field", ["patient", "detail", "service", "event"])
def test_the_log_has_no_place_for_what_is_no_plain_word(field: str, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(logging.getLevelName(logging.DEBUG))
    log().info("call", **{field: f'"{MARK}"\n'}) if field != "event" else log().info(f'"{MARK}"\n')
    assert MARK not in capfd.readouterr().err
