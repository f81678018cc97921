"""NEWS2: early warning of acute deterioration, 0 to 20 points. Carried for its vectors; never on a card."""

from models_onnx.calculation.declaration import (
    Band,
    BandTable,
    Equation,
    Exclusion,
    Input,
    Output,
    Values,
    measured,
    yes_no,
)
from models_onnx.calculation.points import Item, present, work_points
from models_onnx.calculation.result import Value, Working

# On each scale: up to this value (included) the points beside it; above the last one the last points.
_RESPIRATION = ((8, 3), (11, 1), (20, 0), (24, 2), (None, 3))
_PRESSURE = ((90, 3), (100, 2), (110, 1), (219, 0), (None, 3))
_PULSE = ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2), (None, 3))
_TEMPERATURE = ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1), (None, 2))
_SATURATION_1 = ((91, 3), (93, 2), (95, 1), (None, 0))
_SATURATION_2_AIR = ((83, 3), (85, 2), (87, 1), (None, 0))
_SATURATION_2_OXYGEN = ((83, 3), (85, 2), (87, 1), (92, 0), (94, 1), (96, 2), (None, 3))
_Scale = tuple[tuple[float | None, int], ...]


def _points(scale: _Scale, value: Value) -> int:
    return next(points for limit, points in scale if limit is None or float(value) <= limit)


def _saturation(values: Values) -> _Scale:
    if not values["spo2_scale_2"]:
        return _SATURATION_1
    return _SATURATION_2_OXYGEN if values["supplemental_oxygen"] else _SATURATION_2_AIR


def work(values: Values, output: str) -> Working:  # noqa: ARG001 - there is one output
    """The points."""
    saturation = _saturation(values)
    items = (
        Item("respiratory_rate", lambda value: _points(_RESPIRATION, value)),
        Item("spo2", lambda value: _points(saturation, value)),
        present("supplemental_oxygen", 2),
        Item("sbp", lambda value: _points(_PRESSURE, value)),
        Item("heart_rate", lambda value: _points(_PULSE, value)),
        Item("consciousness", lambda value: 0 if value == "A" else 3),
        Item("temperature", lambda value: _points(_TEMPERATURE, value)),
    )
    return work_points(items, values)


EQUATION = Equation(
    id="news2",
    title="National Early Warning Score 2",
    version="2017",
    citation=(
        "Royal College of Physicians. National Early Warning Score (NEWS) 2: standardising the assessment of "
        "acute-illness severity in the NHS. London: RCP, 2017"
    ),
    doi=None,
    published="2017-12",
    inputs=(
        measured("respiratory_rate", "respiratory_rate", 4, 60),
        measured("spo2", "spo2", 50, 100),
        yes_no("supplemental_oxygen", "Oxygen is given"),
        measured("sbp", "sbp", 40, 280),
        measured("heart_rate", "heart_rate", 20, 250),
        Input(
            name="consciousness",
            words="Consciousness",
            kind="choice",
            choices=("A", "C", "V", "P", "U"),
            note="LOINC 67775-7: A alert; C new confusion, V voice, P pain, U unresponsive",
        ),
        measured("temperature", "temperature", 30, 43),
        yes_no(
            "spo2_scale_2",
            "Saturation on scale 2",
            note="only where a clinician recorded a target of 88-92 %",
        ),
    ),
    outputs=(Output(id="score", words="NEWS2 points", kind="integer", low=0, high=20),),
    population="adults of 16 and over in acute care",
    exclusions=(
        Exclusion("younger than 16"),
        Exclusion("pregnancy", ("is_pregnant",)),
        Exclusion("injury of the spinal cord"),
    ),
    cautions=("All seven readings must be of one set: an old reading makes a wrong total.",),
    reference="all seven readings normal: 0 points",
    work=work,
    bands=(
        BandTable(
            output="score",
            bands=(Band("low", "low"), Band("medium", "medium", 5), Band("high", "high", 7)),
            source="RCP 2017",
            verified="knowledge",
            note="a single 3 in one reading is low-medium",
        ),
    ),
    not_on_cards=(
        "It warns of deterioration within hours: time-critical, so outside what may be shown without clearance as a "
        "device (FDA guidance on clinical decision support, 2026)."
    ),
)
