"""Which conditions a laboratory result or a measurement shows, whether anybody wrote them on the problem list or not.

Potassium of 6.1 mmol/L is hyperkalemia, an ejection fraction of 35 % is a reduced one. The limits with the age up to
which a result counts are in `fhir/terminology/tables/condition_results.csv`, each with its source.
"""

import operator
from collections.abc import Iterable
from functools import cache

from msgspec import Struct

from fhir.mapping.conditions import find_condition
from fhir.mapping.medications.active import orders_ever_taken
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS, with_implied
from fhir.terminology.medications import table_rows


class ResultLimit(Struct, frozen=True):
    """A limit beyond which a result shows a condition; `limit` is in the canonical unit of the analyte.

    The result shows nothing beside a condition of the group `over_with`, nor where one of the drugs `over_after` was
    ever taken: a release assay stays positive after the treatment. An infant has the mother's antibodies.
    """

    group: str
    analyte: str
    side: str
    limit: float
    max_age_days: float
    over_with: str
    over_after: tuple[str, ...]
    from_months: int
    source: str

    def is_over(self, record: PatientRecord) -> bool:
        """Return whether what the result shows was treated, is being treated or need not be the patient's own."""
        if (record.age_months() or self.from_months) < self.from_months:
            return True
        if self.over_with and find_condition(record, self.over_with) is not None:
            return True
        return any(orders_ever_taken(record, rxcui) for rxcui in self.over_after)


@cache
def result_limits() -> dict[str, tuple[ResultLimit, ...]]:
    """Return the limits that show each group, those of the groups that imply it included.

    Raises:
        ValueError: A row names a group, an analyte or a side that there is not.
    """
    limits: dict[str, list[ResultLimit]] = {}
    for line, row in enumerate(table_rows("condition_results.csv"), start=2):
        limit = ResultLimit(
            row["group"],
            row["analyte"],
            row["side"],
            float(row["limit"]),
            float(row["max_age_days"]),
            row["over_with"],
            tuple(row["over_after"].split(";")) if row["over_after"] else (),
            int(row["from_months"] or 0),
            row["source"],
        )
        is_known = limit.group in CONDITION_GROUPS and limit.analyte in ANALYTES
        if not is_known or limit.side not in ("lt", "le", "gt", "ge"):
            raise ValueError(f"condition_results.csv, line {line}: an unknown group, analyte or side (lt, le, gt, ge)")
        for group in with_implied((CONDITION_GROUPS[limit.group].key,)):
            limits.setdefault(group, []).append(limit)
    return {group: tuple(of_group) for group, of_group in limits.items()}


def result_analytes(groups: Iterable[str]) -> frozenset[str]:
    """Return the analytes whose results can show one of these groups: a service has to ask for them."""
    keys = {CONDITION_GROUPS[group].key for group in groups if group in CONDITION_GROUPS}
    answers = {"smoking_status"} if "tobacco_use" in keys else set()
    return frozenset(limit.analyte for key in keys for limit in result_limits().get(key, ())) | answers


def shown_by_result(record: PatientRecord, group: str) -> Measurement | None:
    """Return the newest result that shows the group, or None; of two at one time none is passed over.

    Only the newest result of an analyte counts: a potassium of 6.1 that was followed by 4.4 is over.
    """
    limits = result_limits().get(CONDITION_GROUPS[group].key)
    if limits is None:  # most conditions
        return None
    shown = [
        measurement
        for limit in limits
        for measurement in record.newest_together(limit.analyte, limit.max_age_days)
        if getattr(operator, limit.side)(measurement.value, limit.limit) and not limit.is_over(record)
    ]
    return max(shown, key=lambda measurement: measurement.time.instant, default=None)
