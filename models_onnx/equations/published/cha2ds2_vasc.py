"""CHA2DS2-VASc: stroke risk in atrial fibrillation, 0 to 9 points."""

from models_onnx.equations.arithmetic import ScoreItem, present, steps
from models_onnx.equations.declaration import (
    SEXES,
    Band,
    BandTable,
    Equation,
    EquationOutput,
    Exclusion,
    ObservedRates,
    age,
    sex,
    yes_no,
)

ITEMS = (
    steps("age", 0, (65, 1), (75, 2)),
    ScoreItem("sex", 1, ((1, 0),), choices=SEXES),
    present("heart_failure", 1),
    present("hypertension", 1),
    present("diabetes", 1),
    present("stroke_tia_te", 2),
    present("vascular_disease", 1),
)

EQUATION = Equation(
    id="cha2ds2_vasc",
    title="CHA2DS2-VASc",
    version="2010",
    citation=(
        "Lip GYH, Nieuwlaat R, Pisters R, Lane DA, Crijns HJGM. Refining clinical risk stratification for predicting "
        "stroke and thromboembolism in atrial fibrillation. Chest 2010;137:263-272"
    ),
    doi="10.1378/chest.09-1584",
    published="2010-02",
    inputs=(
        age(18, 120),
        sex(),
        yes_no("heart_failure", "Heart failure", "has_heart_failure"),
        yes_no("hypertension", "Hypertension", "has_hypertension"),
        yes_no("diabetes", "Diabetes", "has_diabetes"),
        yes_no("stroke_tia_te", "Stroke, TIA or embolism before", "has_had_ischaemic_stroke"),
        yes_no(
            "vascular_disease",
            "Vascular disease",
            "has_vascular_disease",
            "prior myocardial infarction, peripheral artery disease or aortic plaque",
        ),
    ),
    outputs=(EquationOutput(id="score", words="CHA2DS2-VASc points", kind="integer", low=0, high=9),),
    population="adults with non-valvular atrial fibrillation",
    exclusions=(
        Exclusion("mechanical valve", ("has_mechanical_valve",)),
        Exclusion("moderate to severe mitral stenosis", ("has_mitral_stenosis",)),
        Exclusion("no atrial fibrillation"),
    ),
    cautions=(
        "ESC 2024 uses CHA2DS2-VA, without the point for sex; the 2023 ACC/AHA guideline keeps CHA2DS2-VASc.",
        "The rates belong to CHA2DS2-VASc and are never shown beside CHA2DS2-VA.",
        "Not a reason to stop anticoagulation.",
    ),
    reviewed="2026-11-20",
    reference="a man under 65 with none of the conditions: 0 points",
    items=ITEMS,
    only_with=("has_atrial_fibrillation",),
    bands=(
        BandTable(
            output="score",
            bands=(Band("low", "under 2 % a year"), Band("treat", "2 % a year or more", 2)),
            source="2023 ACC/AHA guideline on atrial fibrillation: a yearly risk of 2 % as threshold",
            verified="the threshold from shared/data/equations; 2 points by the rates of Friberg 2012 (2.2 a year)",
            note="by the rate of ischemic stroke without treatment: 0.6 at 1 point, 2.2 at 2 points",
        ),
    ),
    rates=(
        ObservedRates(
            of={0: 0.2, 1: 0.6, 2: 2.2, 3: 3.2, 4: 4.8, 5: 7.2, 6: 9.7, 7: 11.2, 8: 10.8, 9: 12.2},
            words="ischemic strokes in 100 untreated people a year",
            source="Friberg L, et al. Eur Heart J 2012;33:1500-1510, doi 10.1093/eurheartj/ehr488",
            verified="search: 0.6 to 12.2 as quoted in the Cambio model; knowledge: 0.2 for 0 points",
            note="8 points below 7 as in the paper (few people); rates of stroke, TIA and embolism together are higher",
        ),
    ),
)
