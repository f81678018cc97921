"""Orders of imaging and tests: what only these rules use, by subject in the modules beside this one."""

from cards.rules.engine.family import Family
from cards.rules.families.orders import back_pain, contrast, imaging, kidney_injury, retesting, screening, study

FAMILY = Family(
    "orders",
    placeholders={
        "study": study.study_words,
        "agent": imaging.agent_words,
        "device": imaging.device_words,
        "days": back_pain.days_words,
        "test": retesting.test_words,
        "last": retesting.last_words,
        "last_date": retesting.last_date,
        "due_date": retesting.due_date,
        "interval": retesting.interval_words,
        "interval_source": retesting.interval_source,
        "last_same": screening.last_same_date,
        "cervical_reason": screening.cervical_reason,
        "last_same_sentence": screening.last_same_sentence,
        "lung_reason": screening.lung_reason,
        "kidney_injury": kidney_injury.injury_words,
        "metformin_reason": kidney_injury.metformin_reason,
        "kidney_window": kidney_injury.kidney_window,
    }
    | contrast.PLACEHOLDERS,
    longest={
        "study": "x" * 50,
        "agent": "gadopentetate",
        "device": "x" * 60,
        "days": "41",
        "test": "Urea, creatinine and electrolytes",
        "last": "123.5 mmol/L",
        "last_date": "2026-11-20",
        "due_date": "2026-11-20",
        "interval": "1.5 days",
        "interval_source": "Leeds Teaching Hospitals NHS Trust, retesting guidance",
        "last_same": "2026-11-20",
        "last_same_sentence": "The last one was on 2026-11-20.",
        "lung_reason": "after smoking stopped by 2010-12-31",
        "cervical_reason": "after removal of the cervix without cervical disease",
    }
    | contrast.LONGEST
    | kidney_injury.LONGEST,
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
