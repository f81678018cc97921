"""What every reader of charts makes of the drawn charts, as digests: a row for each reader, a column for ten charts.

python -m tests.cards.drawn            # lists the readers that read a drawn chart otherwise than reviewed
python -m tests.cards.drawn --write    # you confirm them
python -m tests.cards.drawn egfr_best 30   # prints what a reader makes of ten charts, to be compared with main's
"""

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from cards.preventive.abnormal import open_results
from cards.preventive.criteria import chart_of, judge_services
from cards.preventive.knowledge import PREVENTIVE
from cards.vaccines.due import ordered_groups, vaccines_due
from cards.vaccines.evidence import declined_vaccines, immunity_stated
from cards.vaccines.knowledge import load_knowledge
from cards.vaccines.patient import read_person
from fhir.mapping import allergies, conditions, gestation, pregnancy, stays
from fhir.mapping.childbearing import childbearing_no_contraception
from fhir.mapping.conditions import signs_by_group
from fhir.mapping.contrast_media import contrast_reactions
from fhir.mapping.equations import dosing_weight, newest_weight
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.genomics.reports import gene_readings
from fhir.mapping.genomics.results import result_of
from fhir.mapping.immunizations import vaccine_history
from fhir.mapping.implants import implants
from fhir.mapping.kidney import crcl_cockcroft_gault, egfr_best
from fhir.mapping.medications import active
from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.pregnancy import pregnancy_signs
from fhir.mapping.tobacco import smoking_history
from fhir.mapping.understanding import understand_chart
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import ANALYTES
from tests.conftest import ROOT
from tests.fhir.drawn import drawn_chart, drawn_record
from tests.fhir.readings import plain

FILE: Final = ROOT / "tests" / "cases" / "drawn" / "readings.txt"
CONFIRM: Final = "look at some with the last command of tests/cards/drawn.py, then: python -m tests.cards.drawn --write"
CHARTS: Final = 100
_COLUMN: Final = 10
_VACCINES: Final = load_knowledge()
Reader = Callable[[PatientRecord], Any]


def _vaccines(record: PatientRecord) -> Any:
    charted = read_person(record)
    if charted is None:
        return None
    settled = ordered_groups(record, _VACCINES) | immunity_stated(record, _VACCINES)
    due = vaccines_due(charted, record.as_of.date(), _VACCINES, settled, declined_vaccines(record, _VACCINES))
    return [
        plain(charted.person),
        [item.label for item in (*due.due, *due.catch_up, *due.to_discuss)],
        [due.forbidden, due.to_check, due.not_judged, due.declined, due.of_season, due.ordered],
        [
            (one.group, one.status, one.dose_number, one.earliest, one.recommended, one.past_due)
            for one in due.forecasts
        ],
    ]


def _preventive(record: PatientRecord) -> Any:
    chart = chart_of(record, PREVENTIVE)
    return judge_services(chart, open_results(chart))


def _doses(record: PatientRecord) -> Any:
    taken = active.active_medications(record)
    return [(one, daily_dose(one.order, one.identity, 70.0)) for one in taken]


def _visits(record: PatientRecord) -> Any:
    stay = stays.current_stay(record)
    before = (stays.emergency_visits_before, stays.outpatient_visits_before, stays.stays_before)
    of_stay = (stays.length_of_stay, stays.admitted_as_emergency, stays.procedure_in_stay)
    return [*(read(record, stay) for read in before), *(read(record, stay) for read in of_stay if stay is not None)]


def _weight(record: PatientRecord) -> Any:
    weight = newest_weight(record)
    return [weight, dosing_weight(record, weight, "adjusted") if weight else None]


def _genes(record: PatientRecord) -> Any:
    readings = gene_readings(record)
    return [readings, [result_of(gene, read) for gene, read in readings.by_gene.items()]]


def _childbearing(record: PatientRecord) -> Any:
    return childbearing_no_contraception(record, [one.identity for one in active.active_medications(record)])


READERS: Final[dict[str, Reader]] = {
    **{f"feature {name}": feature.read for name, feature in FEATURES.items()},
    "refusals": lambda record: record.refusals,
    "values": lambda record: [(key, record.newest(key)) for key in ANALYTES],
    "egfr_best": egfr_best,
    "crcl actual": lambda record: crcl_cockcroft_gault(record, "actual"),
    "crcl adjusted": lambda record: crcl_cockcroft_gault(record, "adjusted"),
    "weight": _weight,
    "allergies": allergies.allergies,
    "allergies by ingredient": allergies.allergies_by_ingredient,
    "contrast": lambda record: [
        contrast_reactions(record, name) for name in ("iodinated_contrast", "gadolinium_contrast")
    ],
    "condition hits": conditions.condition_hits,
    "doubtful problems": conditions.doubtful_problems,
    "unread problems": conditions.unread_problems,
    "signs": signs_by_group,
    "implants": implants,
    "pregnancy signs": pregnancy_signs,
    "observed pregnancy": pregnancy.observed_pregnancy,
    "gestation": lambda record: gestation.gestation(record, None),
    "current pregnancy": lambda record: pregnancy.is_current_pregnancy(record, None),
    "negative test": lambda record: pregnancy.negative_test_since(record, None),
    "childbearing": _childbearing,
    "smoking": smoking_history,
    "vaccine history": vaccine_history,
    "active medications": _doses,
    "ended medications": lambda record: [active.ended_medications(record, days) for days in (14, 90)],
    "orders not active": active.orders_not_active,
    "forgotten orders": active.forgotten_orders,
    "uncertain medications": lambda record: [active.uncertain_medications(record), active.held_medications(record)],
    "unreadable medications": lambda record: [active.unreadable_medications(record), active.unreadable_codes(record)],
    "inpatient": lambda record: [stays.is_inpatient(record), stays.care_units(record)],
    "stay": lambda record: [stays.current_stay(record), stays.discharge_destination(record)],
    "visits": _visits,
    "genes": _genes,
    "preventive services": _preventive,
    "vaccines": _vaccines,
}


@cache
def _record(number: int) -> PatientRecord:
    return drawn_record(number)


def _understood(first: int) -> str:
    charts = (drawn_chart(number)[1] for number in range(first, first + _COLUMN))
    return "\n".join(plain(understand_chart(resources)) for resources in charts)


def text_of(reader: str, first: int) -> str:
    """Return what a reader makes of ten charts from this number on; a refusal is its words."""
    if reader == "understood":
        return _understood(first)
    lines = []
    for number in range(first, first + _COLUMN):
        try:
            lines.append(f"{number}: {plain(READERS[reader](_record(number)))}")
        except ValueError as error:
            lines.append(f"{number}: {error}")
    return "\n".join(lines)


def current() -> dict[str, list[str]]:
    """Return the digests of each reader."""
    return {
        reader: [hashlib.sha256(text_of(reader, first).encode()).hexdigest()[:6] for first in range(0, CHARTS, _COLUMN)]
        for reader in (*READERS, "understood")
    }


def reviewed() -> dict[str, list[str]]:
    """Return the digests that were reviewed."""
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    return {reader.strip(): digests.split() for reader, _, digests in (line.partition(":") for line in lines)}


def main(arguments: list[str]) -> int:
    """Lists what differs, writes it, or prints the text of a reader."""
    if len(arguments) == 2:
        print(text_of(arguments[0], int(arguments[1])))
        return 0
    before, now = reviewed(), current()
    differ = [reader for reader in now if before.get(reader) != now[reader]]
    print(*differ, sep="\n")
    if "--write" in arguments:
        FILE.write_text("".join(f"{reader}: {' '.join(digests)}\n" for reader, digests in now.items()))
        return 0
    return 1 if differ or before.keys() != now.keys() else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
