"""NEWS2: early warning of acute deterioration, 0 to 20 points. Carried for its vectors; never on a card."""

from models_onnx.equations.arithmetic import ScoreItem, Working, over, present, work_points
from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationInput,
    EquationOutput,
    Exclusion,
    Values,
    measured,
    yes_no,
)

_CONSCIOUSNESS = ("A", "C", "V", "P", "U")
_SATURATION_1 = over("spo2", 3, (91, 2), (93, 1), (95, 0))
_SATURATION_2_AIR = over("spo2", 3, (83, 2), (85, 1), (87, 0))
_SATURATION_2_OXYGEN = over("spo2", 3, (83, 2), (85, 1), (87, 0), (92, 1), (94, 2), (96, 3))


def work(values: Values, output: str) -> Working:  # noqa: ARG001 - there is one output
    """Return the points."""
    items = (
        over("respiratory_rate", 3, (8, 1), (11, 0), (20, 2), (24, 3)),
        _saturation(values),
        present("supplemental_oxygen", 2),
        over("sbp", 3, (90, 2), (100, 1), (110, 0), (219, 3)),
        over("heart_rate", 3, (40, 1), (50, 0), (90, 1), (110, 2), (130, 3)),
        ScoreItem("consciousness", 0, ((1, 3),), choices=_CONSCIOUSNESS),
        over("temperature", 3, (35.0, 1), (36.0, 0), (38.0, 1), (39.0, 2)),
    )
    return work_points(items, values)


def _saturation(values: Values) -> ScoreItem:
    if not values["spo2_scale_2"]:
        return _SATURATION_1
    return _SATURATION_2_OXYGEN if values["supplemental_oxygen"] else _SATURATION_2_AIR


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
        EquationInput(
            name="consciousness",
            words="Consciousness",
            kind="choice",
            choices=_CONSCIOUSNESS,
            note="LOINC 67775-7: A alert; C new confusion, V voice, P pain, U unresponsive",
        ),
        measured("temperature", "temperature", 30, 43),
        yes_no(
            "spo2_scale_2",
            "Saturation on scale 2",
            note="only where a clinician recorded a target of 88-92 %",
        ),
    ),
    outputs=(EquationOutput(id="score", words="NEWS2 points", kind="integer", low=0, high=20),),
    population="adults of 16 and over in acute care",
    exclusions=(
        Exclusion("younger than 16"),
        Exclusion("pregnancy", ("is_pregnant",)),
        Exclusion("injury of the spinal cord"),
    ),
    cautions=("All seven readings must be of one set: an old reading makes a wrong total.",),
    reviewed="2026-11-20",
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
