"""Invented traffic: days of calls of one client to one service, as they are counted, with a planted fault or none."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np

from models_onnx.monitoring.day import DayCounts, count, groups_of, sketch_value
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.sketch import bucket_of

FIRST = date(2026, 9, 1)
Patient = dict[str, float]
Fault = Callable[[Patient, np.random.Generator], Patient]
KEYS = ("patient", "labs", "conditions")


def healthy(patient: Patient, _random: np.random.Generator) -> Patient:
    """A patient as they are."""
    return patient


def one_day(
    random: np.random.Generator, calls: int = 700, fault: Fault = healthy, without_key: str = "", slower: float = 1.0
) -> DayCounts:
    """A day of calls about other patients each time; every tenth has no creatinine."""
    day = DayCounts()
    for _ in range(calls):
        day.calls += 1
        patient = {
            "age_years": float(np.clip(random.normal(66, 13), 18, 100).round()),
            "sex_male": float(random.random() < 0.48),
            "creatinine_mg_dl": float(np.exp(random.normal(0.05, 0.35)).round(2)),
            "sbp_mmhg": float(round(random.normal(132, 18))),
        }
        patient = fault(patient, random)
        if random.random() < 0.1:
            patient.pop("creatinine_mg_dl", None)
        for name, value in patient.items():
            sketch_value(day.features, name, value)
            sketch_value(day.ages, name, float(random.exponential(40)))
        if "creatinine_mg_dl" not in patient:
            count(day.missing, "creatinine_mg_dl absent")
        else:
            score = float(1 / (1 + np.exp(5.5 - patient["age_years"] / 20 - patient["creatinine_mg_dl"])))
            for group in groups_of(patient):
                sketch_value(day.scores, f"model@1 {group}", score)
            day.with_cards += score > 0.5
        for key in KEYS:
            count(day.keys, f"{key} {'absent' if key == without_key else 'given'}")
        bucket = bucket_of(float(random.gamma(4, 0.4)) * slower)
        day.milliseconds[bucket] = day.milliseconds.get(bucket, 0) + 1
    return day


def days_of(random: np.random.Generator, number: int, first: date = FIRST) -> dict[date, DayCounts]:
    """Days without a fault; on weekends a third of the calls come."""
    dates = [first + timedelta(days=place) for place in range(number)]
    return {day: one_day(random, 250 if day.weekday() > 4 else 700 + int(random.integers(-60, 60))) for day in dates}


def compared(window: dict[date, DayCounts], reference: dict[date, DayCounts]) -> Compared:
    """A window with its reference."""
    return Compared("ehr-1", "planning-conversation", window, reference)
