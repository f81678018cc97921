"""The 13 source attributes of an evidence-based intervention (45 CFR 170.315(b)(11)(iv)(A)), made from the declaration.

E5 to E13, the uses of demographic and social data, are derived from the inputs, so that they cannot drift from them.
"""

from models_onnx.calculation.declaration import Equation, Input

DEVELOPER = "the cds-hooks-onnx project (translation of the published equation; not its authors)"
FUNDING = "self-funded: no outside funding of this translation"
REVISED = "2026-11-20"

# USCDI: smoking status, mental and cognitive status are health status assessments.
_HEALTH_STATUS = frozenset({"smokes", "phq9_total", "gad7_total", "has_alcohol_use"})
_USES = (
    ("race", "race"),
    ("ethnicity", "ethnicity"),
    ("language", "language"),
    ("sexual_orientation", "sexual orientation"),
    ("gender_identity", "gender identity"),
    ("sex", "sex"),
    ("date_of_birth", "date of birth"),
    ("sdoh", "social determinants of health"),
    ("health_status", "health status assessment"),
)


def attributes(equation: Equation) -> dict[str, str]:
    """The 13 attributes by the key of responsible-ai.md 1.2, in its order; none is blank."""
    address = f" https://doi.org/{equation.doi}" if equation.doi else ""
    return {
        "evidence.citation": f"{equation.citation}.{address}",
        "evidence.developer": DEVELOPER,
        "evidence.funding": FUNDING,
        "evidence.dates": f"published {equation.published}; this translation revised {REVISED}",
        **{f"evidence.uses.{key}": _use(equation, key, words) for key, words in _USES},
    }


def uses(equation: Equation, key: str) -> tuple[str, ...]:
    """The names of the inputs that are of this kind of data (a key such as `race` or `date_of_birth`)."""
    return tuple(each.name for each in equation.inputs if _kind(each) == key)


def _kind(item: Input) -> str | None:
    if item.name == "race_group":
        return "race"
    if item.feature == "age_years":
        return "date_of_birth"
    if item.feature == "sex_male":
        return "sex"
    return "health_status" if item.feature in _HEALTH_STATUS else None


def _use(equation: Equation, key: str, words: str) -> str:
    named = uses(equation, key)
    if not named:
        return f"not used: no input is {words}"
    return f"used: {', '.join(equation.input(name).words for name in named)} ({', '.join(named)})"
