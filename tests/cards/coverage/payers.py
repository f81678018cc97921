"""One payer, one policy and one answer that tests of coverage share."""

from datetime import date

from cards.coverage.determination import Determination
from cards.coverage.policy import Payer, Policy

NOTHING = frozenset[str]()
PAYER = Payer("own", "Own Health Plan", NOTHING, NOTHING, NOTHING, NOTHING, "555-0100", "https://example.org")
POLICY = Policy(
    "own-b", "own", "HCPCS", "B4150", "Enteral formula", "listed", "auth-needed", NOTHING, NOTHING, NOTHING, None, "",
    False, date(2026, 1, 1), None, "", "Policy 1", "",
)  # fmt: skip
ANSWER = Determination(PAYER, "Coverage/c", "DeviceRequest/d", "conditional")
