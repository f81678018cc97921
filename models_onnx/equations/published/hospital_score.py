"""HOSPITAL score, 2016 validation: potentially avoidable readmission within 30 days, 0 to 13 points."""

from models_onnx.equations.arithmetic import present, steps
from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationInput,
    EquationOutput,
    Exclusion,
    measured,
    yes_no,
)

ITEMS = (
    steps("hemoglobin_discharge", 1, (12, 0)),
    present("oncology_discharge", 2),
    steps("sodium_discharge", 1, (135, 0)),
    present("procedure_in_stay", 1),
    present("urgent_admission", 1),
    steps("admissions_12m", 0, (2, 2), (6, 5)),
    steps("length_of_stay_days", 0, (5, 2)),
)

EQUATION = Equation(
    id="hospital_score",
    title="HOSPITAL score",
    version="2016 international validation (admissions 0-1 / 2-5 / over 5)",
    citation=(
        "Donze JD, Williams MV, Robinson EJ, et al. International validity of the HOSPITAL score to predict 30-day "
        "potentially avoidable hospital readmissions. JAMA Intern Med 2016;176:496-502"
    ),
    doi="10.1001/jamainternmed.2015.8462",
    published="2016-04-01",
    inputs=(
        measured(
            "hemoglobin_discharge", "hemoglobin", 3, 25, feature="hemoglobin_g_dl", note="last value before discharge"
        ),
        yes_no("oncology_discharge", "Discharged from oncology", None, "discharged from an oncology service"),
        measured("sodium_discharge", "sodium", 100, 180, feature="sodium_mmol_l", note="last value before discharge"),
        yes_no("procedure_in_stay", "Procedure in the stay", "procedure_in_stay", "any coded procedure"),
        yes_no("urgent_admission", "Admitted as an emergency", "admitted_as_emergency"),
        EquationInput(
            name="admissions_12m",
            words="Hospital stays in the 12 months before",
            kind="whole",
            low=0,
            feature="admissions_12m",
            note="the index stay is not counted",
        ),
        EquationInput(
            name="length_of_stay_days",
            words="Days in hospital",
            unit="d",
            low=0,
            feature="length_of_stay_days",
        ),
    ),
    outputs=(EquationOutput(id="score", words="HOSPITAL points", kind="integer", low=0, high=13),),
    population="adults discharged alive from a medical service",
    exclusions=(Exclusion("transfer to another acute hospital"), Exclusion("died in hospital")),
    cautions=(
        "The derivation of 2013 gave 2 points for 1 to 5 admissions: the version must be stated.",
        "The simplified score of 2017 drops the procedure and takes a diagnosis of cancer.",
        "The bands were set on the points of 2013; the paper of 2016 kept them.",
    ),
    reviewed="2026-11-20",
    reference="a planned stay of under 5 days, hemoglobin 12, sodium 135, at most one stay in the year: 0 points",
    items=ITEMS,
    bands=(
        BandTable(
            output="score",
            bands=(
                Band("low", "low (5.8 % readmitted)"),
                Band("intermediate", "intermediate (11.9 %)", 5),
                Band("high", "high (22.8 %)", 7),
            ),
            source="JAMA Intern Med 2016",
            verified="knowledge",
        ),
    ),
)
