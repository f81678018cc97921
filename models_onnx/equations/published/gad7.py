"""GAD-7: severity band of the total score."""

from models_onnx.equations.declaration import Band, BandTable, Equation, EquationInput, EquationOutput

BANDS = (
    Band("minimal", "minimal"),
    Band("mild", "mild", 5),
    Band("moderate", "moderate", 10),
    Band("severe", "severe", 15),
)

EQUATION = Equation(
    id="gad7",
    title="GAD-7",
    version="1",
    citation=(
        "Spitzer RL, Kroenke K, Williams JB, Lowe B. A brief measure for assessing generalized anxiety disorder. "
        "Arch Intern Med 2006;166:1092-1097"
    ),
    doi="10.1001/archinte.166.10.1092",
    published="2006-05-22",
    inputs=(
        EquationInput(
            name="total",
            words="GAD-7 total",
            kind="whole",
            unit="{score}",
            low=0,
            high=21,
            analyte="gad7",
            feature="gad7_total",
        ),
    ),
    outputs=(EquationOutput(id="severity", words="severity of anxiety", kind="code"),),
    population="adults",
    exclusions=(),
    cautions=("A screen, not a diagnosis.",),
    reviewed="2026-11-20",
    reference="a total of 0",
    bands=(
        BandTable(
            output="severity",
            bands=BANDS,
            source="Spitzer 2006",
            verified="knowledge",
            note="10 or more is a positive screen",
        ),
    ),
)
