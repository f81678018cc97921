"""Hit rates are counted from the record."""

import orjson

from cds_hooks.monitor.prefetch_rates import prefetch_rates


def _basis(fetch: float = 0.0, **prefetch: object) -> bytes:
    return orjson.dumps({"as_of": "2026-11-20", "timings": {"fetch": fetch}, "prefetch": prefetch})


FETCHED = {"state": "fetched", "milliseconds": 120.0, "pages": 1, "bytes": 900, "resources": 3}
LATE = {"state": "unobtainable", "reason": "timeout"}


def test_a_client_is_told_in_a_sentence() -> None:
    rows = [
        ("a", "s", _basis(180.0, patient="given", labs=FETCHED, conditions="null")),
        ("a", "s", _basis(220.0, patient="given", labs=FETCHED, conditions=LATE)),
        ("b", "s", _basis(patient="given")),
    ]
    first, second = prefetch_rates(rows)
    assert first.sentence == "a sends 2 of 3 keys of s; fetching costs 200 ms."
    assert second.sentence == "b sends 1 of 1 keys of s; nothing is fetched."
    assert first.keys["conditions"].states == {"null": 1, "unobtainable": 1}
    assert first.keys["conditions"].reasons == {"timeout": 1}
    assert first.keys["labs"].milliseconds == [120.0, 120.0]


def test_decisions_of_before_are_passed_over() -> None:
    assert prefetch_rates([("a", "s", b'{"as_of":"2026-11-20","timings":{}}')]) == []
