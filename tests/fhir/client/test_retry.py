"""How long to wait is said by the server, in seconds or as a date, and grows where it says nothing."""

import pytest

from fhir.client.client import seconds_to_wait


def test_seconds_are_taken_as_they_are_said() -> None:
    assert seconds_to_wait({"retry-after": "3"}, 0) == 3


def test_a_date_is_counted_from_the_servers_own_clock() -> None:
    headers = {"retry-after": "Fri, 20 Nov 2026 09:00:07 GMT", "date": "Fri, 20 Nov 2026 09:00:02 GMT"}
    assert seconds_to_wait(headers, 0) == 5


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "Fri, 20 Nov 2026 09:00:07 GMT", "٣"])
def test_without_a_usable_word_of_the_server_the_wait_doubles(text: str) -> None:
    assert [seconds_to_wait({"retry-after": text}, attempt) for attempt in range(4)] == [0.05, 0.1, 0.2, 0.4]


def test_zero_seconds_do_not_make_a_hammer() -> None:
    assert seconds_to_wait({"retry-after": "0"}, 2) == 0.2
