"""How many of a folder's orders have a daily dose, with which certainty, and why the others have none."""

from collections import Counter
from pathlib import Path

from msgspec import Struct

from fhir.mapping.dose import daily_dose
from fhir.mapping.medication_coverage import identified_orders
from fhir.record.resources import MedicationStatement


class DoseCoverage(Struct, frozen=True):
    """Of one kind of order in one source.

    `instructed` have a dosage; `certainties` counts exact, range, maximum_prn and unknown among them; `problems` are
    the reasons for unknown, most frequent first.
    """

    source: str
    orders: int
    instructed: int
    certainties: dict[str, int]
    problems: tuple[tuple[str, int], ...]


def dose_coverage(data_folder: Path) -> tuple[DoseCoverage, ...]:
    """Coverage over every Bundle in the subfolders of `data_folder`/fhir, by folder and kind of order."""
    orders: Counter[str] = Counter()
    certainties: dict[str, Counter[str]] = {}
    problems: dict[str, Counter[str]] = {}
    for source, order, identity in identified_orders(data_folder):
        orders[source] += 1
        dosages = order.dosage if isinstance(order, MedicationStatement) else order.dosageInstruction
        counted = certainties.setdefault(source, Counter())
        if dosages:
            dose = daily_dose(order, identity)
            counted[dose.certainty] += 1
            if dose.problem is not None:
                problems.setdefault(source, Counter())[dose.problem] += 1
    return tuple(
        DoseCoverage(
            source,
            orders[source],
            counted.total(),
            dict(sorted(counted.items())),
            tuple(problems.get(source, Counter()).most_common()),
        )
        for source, counted in certainties.items()
    )
