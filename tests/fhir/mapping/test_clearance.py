"""Creatinine clearance: from which weight and creatinine it is estimated, and why there is none."""

from typing import Any

import pytest

from fhir.mapping.equations import ckd_epi_2021, cockcroft_gault
from fhir.mapping.kidney import KidneyAbsence, KidneyEstimate, KidneyFunction, crcl_cockcroft_gault
from tests.fhir.mapping.charts import MAN, WOMAN, condition, creatinine, egfr, observation, record_of, weight

CHILD = WOMAN | {"birthDate": "2010-01-01"}
HEIGHT = observation("8302-2", 160.0, "cm", "2020-01-01")


def _estimate(found: KidneyFunction) -> KidneyEstimate:
    assert isinstance(found, KidneyEstimate), found
    return found


def _absence(found: KidneyFunction) -> KidneyAbsence:
    assert isinstance(found, KidneyAbsence), found
    return found


class TestClearance:
    """Cockcroft-Gault with the weight of the rule."""

    def test_it_takes_the_newest_creatinine_and_weight(self) -> None:
        found = _estimate(
            crcl_cockcroft_gault(record_of(creatinine(1.5), weight(60.0), weight(90.0, "2019-01-01")), "actual")
        )
        assert found.value == cockcroft_gault(70, "female", 60.0, 1.5)
        assert (found.method, found.unit, found.weight_used) == ("Cockcroft-Gault", "mL/min", "actual")
        assert [one.analyte for one in found.inputs] == ["creatinine", "body_weight"]

    def test_an_adults_weight_may_be_old(self) -> None:
        assert _estimate(crcl_cockcroft_gault(record_of(creatinine(1.5), weight(68.0, "2010-01-01")), "actual"))

    @pytest.mark.parametrize(("kilograms", "used"), [(68.0, "actual"), (69.0, "adjusted")])
    def test_over_130_percent_of_ideal_the_adjusted_weight_is_used(self, kilograms: float, used: str) -> None:
        chart = record_of(creatinine(1.5), weight(kilograms), HEIGHT)  # ideal 52.4 kg, 130 % are 68.1
        assert _estimate(crcl_cockcroft_gault(chart, "adjusted")).weight_used == used
        assert _estimate(crcl_cockcroft_gault(chart, "actual")).weight_used == "actual"

    def test_without_height_the_actual_weight_is_used_and_said(self) -> None:
        found = _estimate(crcl_cockcroft_gault(record_of(creatinine(1.5), weight(120.0)), "adjusted"))
        assert found.weight_used == "actual"
        assert "Height is missing" in found.notes[0]

    @pytest.mark.parametrize("chart", [(creatinine(1.5),), (creatinine(1.5), weight(20.0))])
    def test_without_a_usable_weight_egfr_stands_in_and_says_so(self, chart: tuple[dict[str, Any], ...]) -> None:
        found = _estimate(crcl_cockcroft_gault(record_of(*chart), "actual"))
        assert found.instead_of_clearance == "weight"
        assert found.value == ckd_epi_2021(70, "female", 1.5)
        assert "eGFR is used" in found.notes[-1]

    def test_without_creatinine_egfr_stands_in_and_says_so(self) -> None:
        found = _estimate(crcl_cockcroft_gault(record_of(egfr(40.0), weight(70.0)), "actual"))
        assert (found.value, found.instead_of_clearance) == (40.0, "creatinine")

    def test_a_recent_egfr_stands_in_for_an_old_creatinine(self) -> None:
        found = _estimate(
            crcl_cockcroft_gault(record_of(egfr(40.0), creatinine(1.0, "2020-01-01"), weight(70.0)), "actual")
        )
        assert found.instead_of_clearance == "recent creatinine"

    def test_an_old_clearance_is_kept_in_the_absence(self) -> None:
        found = _absence(crcl_cockcroft_gault(record_of(creatinine(1.5, "2020-01-01"), weight(70.0)), "actual"))
        assert found.reason == "stale"
        assert found.old is not None
        assert (found.old.method, found.old.stale) == ("Cockcroft-Gault", True)

    def test_nothing_on_record(self) -> None:
        assert _absence(crcl_cockcroft_gault(record_of(weight(70.0)), "actual")).reason == "missing"

    def test_dialysis_and_children(self) -> None:
        dialysis = record_of(creatinine(1.0), weight(70.0), condition("265764009"))
        assert _estimate(crcl_cockcroft_gault(dialysis, "actual")).value == 0.0
        child = record_of(creatinine(1.0), weight(40.0), patient=CHILD)
        assert _absence(crcl_cockcroft_gault(child, "actual")).reason == "under-18"

    def test_men_have_no_factor(self) -> None:
        found = _estimate(crcl_cockcroft_gault(record_of(creatinine(1.5), weight(60.0), patient=MAN), "actual"))
        assert found.value == cockcroft_gault(70, "male", 60.0, 1.5)


def test_the_oldest_age_of_the_equation_is_estimated_and_a_higher_one_is_not() -> None:
    def found(born: str) -> KidneyFunction:
        return crcl_cockcroft_gault(
            record_of(creatinine(1.5), weight(60.0), patient=WOMAN | {"birthDate": born}), "actual"
        )

    assert _estimate(found("1906-11-20")).value == cockcroft_gault(120, "female", 60.0, 1.5)
    older = found("1905-11-20")
    assert not isinstance(older, KidneyEstimate) or older.method != "Cockcroft-Gault"
