"""A problem that came after the order of a drug that is taken: the drug is judged as if it were begun now.

Many rules warn of a new start alone, because whoever goes on with a drug knows the old problems. A new one, such as
rhabdomyolysis on a statin, nobody has weighed yet.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from cards.compose.medications import came_later
from cards.rules.engine.compile import CompiledBand, CompiledRule
from cards.rules.engine.finding import RuleFinding
from cards.rules.patient.orders import DraftMedication
from cards.suggest import OrderCheck
from fhir.mapping.conditions import has_problem_since
from fhir.record.record import PatientRecord

_NEW_DAYS: Final = 14
"""What began after the order is new for so many days; the project's own choice."""


def first_new_day(record: PatientRecord) -> str:
    """Return the ISO day from which on a problem or result is new."""
    return (record.as_of - timedelta(days=_NEW_DAYS)).date().isoformat()


class NewProblems:
    """The drugs of a check, judged as if each were begun now, where the patient has a new problem."""

    def __init__(self, check: OrderCheck) -> None:
        session = check.session
        self._since = first_new_day(session.record)
        is_asked = has_problem_since(session.record, self._since)
        self._anew = OrderCheck(session.begun_now(), check.book, check.new_uuid, check.original) if is_asked else None

    def findings(
        self,
        drafted: DraftMedication,
        found: Iterable[RuleFinding],
        is_meant: Callable[[CompiledRule, CompiledBand], bool],
    ) -> list[RuleFinding]:
        """Return what these bands say of a new problem that is later than the order, beside what was found."""
        if self._anew is None:
            return []
        told = {finding.rule for finding in found}
        anew = self._anew.evaluate(drafted).findings_of(is_meant)
        return [one for one in anew if one.rule not in told and came_later(one, self._since, "Condition/")]
