"""Made-up doses of somebody who was born on 1 January 2000; of vaccine "10" where none is named."""

from datetime import date
from typing import Any

from cards.vaccines.patient import GivenDose

BORN = date(2000, 1, 1)


def given(day: str, cvx: str = "10", **fields: Any) -> GivenDose:
    """A dose given on a day."""
    return GivenDose(date.fromisoformat(day), cvx, **fields)
