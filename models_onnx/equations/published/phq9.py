"""PHQ-9: severity band of the total score."""

from models_onnx.equations.declaration import Band, BandTable, Equation, EquationInput, EquationOutput

BANDS = (
    Band("minimal", "minimal"),
    Band("mild", "mild", 5),
    Band("moderate", "moderate", 10),
    Band("moderately severe", "moderately severe", 15),
    Band("severe", "severe", 20),
)

EQUATION = Equation(
    id="phq9",
    title="PHQ-9",
    version="1",
    citation="Kroenke K, Spitzer RL, Williams JB. The PHQ-9. J Gen Intern Med 2001;16:606-613",
    doi="10.1046/j.1525-1497.2001.016009606.x",
    published="2001-09",
    inputs=(
        EquationInput(
            name="total",
            words="PHQ-9 total",
            kind="whole",
            unit="{score}",
            low=0,
            high=27,
            analyte="phq9",
            feature="phq9_total",
        ),
    ),
    outputs=(EquationOutput(id="severity", words="severity of depression", kind="code"),),
    population="adults",
    exclusions=(),
    cautions=("Item 9 (LOINC 44260-8) above 0 needs its own path, whatever the total.",),
    reviewed="2026-11-20",
    reference="a total of 0",
    bands=(
        BandTable(
            output="severity",
            bands=BANDS,
            source="Kroenke 2001",
            verified="knowledge",
            note="10 or more is a positive screen",
        ),
    ),
)
