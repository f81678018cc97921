"""STALE: advice that has aged."""

from tests.cds_hooks.calls import ORDERS, request_for
from tests.conformance.answers import AS_OF
from tests.conformance.outside import Outside
from tests.conformance.rows import row


@row("STALE-02")
def test_a_later_hook_gives_the_whole_advice_again_and_no_difference(server: Outside) -> None:
    """A client drops what the earlier hook said (RESP-07), so what still holds is said at signing as well."""
    first, later = (
        server.call(ORDERS, request_for(ORDERS, hook, "ckd4-metformin", AS_OF, "metformin-ckd4-coded")).json()["cards"]
        for hook in ("order-select", "order-sign")
    )
    assert [card["summary"] for card in first] == [card["summary"] for card in later]
    assert {card["uuid"] for card in first}.isdisjoint(card["uuid"] for card in later)
