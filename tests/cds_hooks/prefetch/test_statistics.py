"""Hit rates are counted from the record."""

from cds_hooks.monitor.prefetch_rates import prefetch_rates


def test_decisions_of_before_are_passed_over() -> None:
    assert prefetch_rates([("a", "s", b'{"as_of":"2026-11-20","timings":{}}')]) == []
