"""The conditions and drug selectors of a table in words."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cards.rules.figures import show
from cards.rules.predicates import NO_WORDS, Own

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_NUMBERS = {
    "age_years": "age",
    "weight_kg": "weight in kg",
    "daily_dose_mg": "mg a day",
    "weekly_dose_mg": "mg a week",
    "dose_mg": "mg in one dose",
    "dose_mg_per_kg": "mg/kg in one dose",
    "dose_mg_per_kg_per_day": "mg/kg a day",
    "times_per_day": "doses a day",
    "times_per_week": "doses a week",
    "duration_days": "days",
    "gestation_weeks": "week of pregnancy",
}


def condition(spec: Mapping[str, Any], own: Own = NO_WORDS) -> str:
    """A condition of the table in words.

    >>> condition({"all": [{"derived": "egfr_best", "ge": 30, "lt": 45}, {"new_start": True}]})
    'eGFR ≥ 30 and < 45, and a new start'
    """
    for word, joined in _JOINED.items():
        if word in spec:
            return joined(spec, own)
    for word, declared in own.items():
        if word in spec:
            return declared.wording(spec)
    for word, wording in _WORDINGS.items():
        if word in spec:
            return wording(spec)
    raise ValueError(f"{dict(spec)!r} has no wording")


def compared(name: str, limits: Mapping[str, Any]) -> str:
    """A number with its limits: "eGFR ≥ 30 and < 45"."""
    return f"{name} {' and '.join(f'{_SIGNS[word]} {show(limits[word])}' for word in _SIGNS if word in limits)}"


def _inner(specs: Iterable[Mapping[str, Any]], own: Own, joint: str) -> str:
    said = [condition(spec, own) for spec in specs]
    return joint.join(f"({one})" if " or " in one and joint != " or " else one for one in said)


def selected(selector: Mapping[str, Any]) -> str:
    """The drugs of a selector: "naproxen or class nsaid (systemic)"."""
    names = [drug["name"] for drug in selector.get("ingredients", ())]
    names += [f"class {name}" for name in selector.get("classes", ())]
    said = " or ".join(names) or "any drug"
    if "exclude_classes" in selector:
        said += f" but not class {' or '.join(selector['exclude_classes'])}"
    narrowed = [
        {True: "systemic", False: "local forms"}.get(selector.get("systemic", "")),
        selector.get("route"),
        " or ".join(selector.get("dose_form_any", ())),
        f"until {show(selector['washout_days'])} days after its end" if selector.get("washout_days") else None,
    ]
    inside = ", ".join(one for one in narrowed if one)
    return f"{said} ({inside})" if inside else said


def _estimate(spec: Mapping[str, Any], word: str) -> str:
    return "eGFR" if spec[word] == "egfr_best" else f"CrCl ({spec['weight']} weight)"


def _allergy(spec: Mapping[str, Any]) -> str:
    allergy = spec["allergy"]
    return f"allergy to {allergy['ingredient']['name'] if 'ingredient' in allergy else allergy['class']}"


def _counted(spec: Mapping[str, Any], own: Own, word: str, said: str) -> str:
    return f"{said} {spec[word]['n']} of ({_inner(spec[word]['of'], own, '; ')})"


def _of_drug(spec: Mapping[str, Any], word: str, said: str) -> str:
    return compared(f"{said} of {spec[word]['ingredient']['name']}", spec[word])


def _number(word: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda spec: compared(_NUMBERS[word], spec[word])


_JOINED: Mapping[str, Callable[[Mapping[str, Any], Own], str]] = {
    "all": lambda spec, own: _inner(spec["all"], own, ", and "),
    "any": lambda spec, own: _inner(spec["any"], own, " or "),
    "not": lambda spec, own: f"not ({condition(spec['not'], own)})",
    "count_at_least": lambda spec, own: _counted(spec, own, "count_at_least", "at least"),
    "count_less_than": lambda spec, own: _counted(spec, own, "count_less_than", "fewer than"),
}

_WORDINGS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "always": lambda _spec: "always",
    "never": lambda _spec: "never",
    "draft": lambda spec: f"the draft is {selected(spec['draft'])}",
    "active": lambda spec: f"{selected(spec['active'])} is taken",
    "new_start": lambda spec: "a new start" if spec["new_start"] else "no new start",
    "partner_on": lambda spec: f"{selected(spec['partner_on'])} is one of the two",
    "partner_new": lambda spec: "one of the two is new" if spec["partner_new"] else "neither of the two is new",
    "drug_daily_mg": lambda spec: _of_drug(spec, "drug_daily_mg", "mg a day"),
    "daily_total_mg": lambda spec: _of_drug(spec, "daily_total_mg", "mg a day in all"),
    "condition_any": lambda spec: " or ".join(spec["condition_any"]),
    "allergy": _allergy,
    "sex": lambda spec: str(spec["sex"]),
    "signing": lambda spec: "at signing" if spec["signing"] else "before signing",
    "single_dose": lambda _spec: "a single dose",
    "lab": lambda spec: compared(spec["lab"], spec),
    "lab_missing": lambda spec: f"no {spec['lab_missing']} in {spec.get('max_age_days', 'any number of')} days",
    "derived": lambda spec: compared(_estimate(spec, "derived"), spec),
    "derived_missing": lambda spec: f"no {_estimate(spec, 'derived_missing')}",
    "kidney_value_wanted": lambda _spec: "a new value would help",
    "unknown": lambda spec: f"{_NUMBERS[spec['unknown']]} not known",
    **{word: _number(word) for word in _NUMBERS},
}
