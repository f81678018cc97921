"""An answer to a finding counts for this finding, and no longer when the value that it was about has moved."""

from datetime import UTC, datetime

from cards.extension import Fact, FindingReference
from cards.rules.engine.finding import RuleFinding
from cards.rules.engine.governance import SiteRules
from cds_hooks.call.hold_back.checks import Caller, CheckedCall, check_findings
from cds_hooks.call.hold_back.history import Event, PatientHistory
from tests.each import for_rows

RULE, BAND = "renal-metformin", "30to44_new"
NOW = datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp()


@for_rows(
    ("band", "egfr", "reason"),
    [
        (BAND, 44.0, "acknowledged"),
        (BAND, 36.0, "acknowledged"),
        (BAND, 34.0, None),
        (BAND, 60.0, None),
        ("lt30", 44.0, None),
    ],
)
def test_an_answer_does_not_count_for_another_band_or_a_value_that_moved_by_a_fifth(
    band: str, egfr: float, reason: str | None
) -> None:
    said = RuleFinding(RULE, band, "warning", is_certain=True, priority=50, facts=(Fact("egfr", "", egfr, "mL/min"),))
    event = Event(
        NOW - 86_400, "need-more-info", reason="Will monitor", indicator="warning",
        bands=frozenset({FindingReference(RULE, BAND)}), numbers={"egfr": 44.0},
    )  # fmt: skip
    call = CheckedCall(
        Caller("ehr", "p1", "order-safety", "order-sign"), NOW, site=SiteRules(), units=lambda: (),
        recall=lambda: PatientHistory((event,)),
    )  # fmt: skip
    silence = check_findings(call)(said)
    assert (silence.reason if silence else None) == reason
