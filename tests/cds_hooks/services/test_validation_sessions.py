"""Proofs are taken over only within one session, and only for minutes."""

import pytest

from cds_hooks.services import ValidationSessions

SESSION = ("ehr", "patient", "Practitioner/1")


@pytest.mark.parametrize(
    ("session", "seconds", "same"),
    [
        (SESSION, 0, True),
        (SESSION, 600, True),
        (SESSION, 601, False),
        (SESSION, -1, False),
        (("another", *SESSION[1:]), 1, False),
        ((SESSION[0], "another", SESSION[2]), 1, False),
        ((*SESSION[:2], "another"), 1, False),
    ],
)
def test_only_the_same_client_patient_and_user_within_minutes(
    session: tuple[str, str, str], seconds: float, same: bool
) -> None:
    sessions = ValidationSessions()
    first = sessions.cache_of(*SESSION, 1000.0)
    assert (sessions.cache_of(*session, 1000.0 + seconds) is first) is same


def test_without_a_user_nothing_is_kept() -> None:
    sessions = ValidationSessions()
    assert sessions.cache_of("ehr", "patient", "", 0.0) is not sessions.cache_of("ehr", "patient", "", 0.0)


def test_the_oldest_sessions_make_room() -> None:
    sessions = ValidationSessions()
    first = sessions.cache_of(*SESSION, 0.0)
    for number in range(2000):
        sessions.cache_of("ehr", f"patient-{number}", "user", 1.0)
    assert sessions.cache_of(*SESSION, 2.0) is not first
