"""Orders of imaging and tests: what only these rules use, by subject in the modules beside this one."""

from cards.rules.engine.family import Family, Placeholder, written
from cards.rules.families.orders import back_pain, contrast, imaging, kidney_injury, retesting, screening, study

FAMILY = Family(
    "orders",
    placeholders={
        "study": Placeholder(study.study_words, "x" * 50),
        "agent": Placeholder(imaging.agent_words, "gadopentetate"),
        "device": Placeholder(imaging.device_words, "x" * 60),
        "days": Placeholder(written(back_pain.days_of_pain, str), "41"),
        "last_same": Placeholder(screening.last_same_date, "2026-11-20"),
        "cervical_reason": Placeholder(
            screening.cervical_reason, "after removal of the cervix without cervical disease"
        ),
        "last_same_sentence": Placeholder(screening.last_same_sentence, "The last one was on 2026-11-20."),
        "lung_reason": Placeholder(screening.lung_reason, "after smoking stopped by 2010-12-31"),
        "kidney_injury": Placeholder(
            kidney_injury.injury_words, "Creatinine rose from 10.25 to 12.25 mg/dL by 2026-11-20"
        ),
        "metformin_reason": Placeholder(
            kidney_injury.metformin_reason, "with eGFR <29.96 mL/min/1.73 m² on 2026-11-20"
        ),
        "kidney_window": Placeholder(kidney_injury.kidney_window, "12 months"),
        **contrast.PLACEHOLDERS,
        **retesting.PLACEHOLDERS,
    },
    conditions=(
        *study.WORDS,
        *imaging.WORDS,
        *contrast.WORDS,
        *kidney_injury.WORDS,
        *back_pain.WORDS,
        *retesting.WORDS,
        *screening.WORDS,
    ),
    gaps=imaging.GAPS | contrast.GAPS,
    changes={"without_contrast": study.without_contrast, "later": retesting.later},
)
