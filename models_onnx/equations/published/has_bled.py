"""HAS-BLED: risk of major bleeding in atrial fibrillation, 0 to 9 points."""

from models_onnx.equations.arithmetic import over, present
from models_onnx.equations.declaration import Band, BandTable, Equation, EquationOutput, ObservedRates, age, yes_no

ITEMS = (
    present("hypertension_uncontrolled", 1),
    present("abnormal_renal", 1),
    present("abnormal_liver", 1),
    present("stroke", 1),
    present("bleeding_or_predisposition", 1),
    present("labile_inr", 1),
    over("age", 0, (65, 1)),  # from 65 on in CHA2DS2-VASc
    present("drugs_antiplatelet_nsaid", 1),
    present("alcohol_excess", 1),
)

EQUATION = Equation(
    id="has_bled",
    title="HAS-BLED",
    version="2010",
    citation=(
        "Pisters R, Lane DA, Nieuwlaat R, et al. A novel user-friendly score (HAS-BLED) to assess 1-year risk of major "
        "bleeding in patients with atrial fibrillation. Chest 2010;138:1093-1100"
    ),
    doi="10.1378/chest.10-0134",
    published="2010-11",
    inputs=(
        age(18, 120),
        yes_no(
            "hypertension_uncontrolled", "Systolic pressure over 160", "has_uncontrolled_pressure", "newest pressure"
        ),
        yes_no(
            "abnormal_renal",
            "Abnormal kidney function",
            "has_abnormal_kidneys",
            "dialysis, transplant, or creatinine 2.26 mg/dL (200 umol/L) or more",
        ),
        yes_no(
            "abnormal_liver",
            "Abnormal liver function",
            "has_abnormal_liver",
            "cirrhosis, or bilirubin over twice with AST, ALT or ALP over three times the upper limit",
        ),
        yes_no("stroke", "Stroke before", "has_had_stroke_tia"),
        yes_no(
            "bleeding_or_predisposition",
            "Bleeding before, or inclined to it",
            "has_bled_or_may",
            "major bleeding or anemia on record",
        ),
        yes_no("labile_inr", "INR out of control", None, "time in range under 60 %; not read from a chart"),
        yes_no("drugs_antiplatelet_nsaid", "Antiplatelet or NSAID", "takes_antiplatelet_or_nsaid"),
        yes_no(
            "alcohol_excess",
            "Alcohol use disorder",
            "has_alcohol_use",
            "for 8 or more drinks a week; not in remission",
        ),
    ),
    outputs=(EquationOutput(id="score", words="HAS-BLED points", kind="integer", low=0, high=9),),
    population="adults with atrial fibrillation considered for or taking anticoagulants",
    exclusions=(),
    cautions=(
        "A high score names what can be changed; it is not a reason to withhold anticoagulation.",
        "Age counts over 65 here, from 65 on in CHA2DS2-VASc.",
    ),
    reviewed="2026-11-20",
    reference="a person of 65 or younger with none of the nine: 0 points",
    items=ITEMS,
    only_with=("has_atrial_fibrillation",),
    bands=(
        BandTable(
            output="score",
            bands=(Band("not-high", "under 3"), Band("high", "3 or more", 3)),
            source="Pisters 2010",
            verified="search",
        ),
    ),
    rates=(
        ObservedRates(
            of={0: 1.13, 1: 1.02, 2: 1.88, 3: 3.74, 4: 8.7, 5: 12.5},
            words="major bleeds in 100 people a year",
            source="Pisters 2010",
            verified="search: the same figures in tables citing it (PMC3418985, Thrombosis Journal 2015)",
            note="too few people at 6 to 9 points for a rate; 12.5 at 5 points rests on few",
        ),
    ),
)
