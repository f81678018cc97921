"""Comparisons and drug selectors in words, as the page of a family says them."""

from collections.abc import Mapping
from typing import Any

from cards.text import format_number

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def compared(name: str, limits: Mapping[str, Any]) -> str:
    """A number with its limits.

    >>> compared("eGFR", {"ge": 30, "lt": 45})
    'eGFR ≥ 30 and < 45'
    """
    return (
        f"{name} {' and '.join(f'{_SIGNS[word]} {format_number(limits[word])}' for word in _SIGNS if word in limits)}"
    )


def selected(selector: Mapping[str, Any]) -> str:
    """The drugs of a selector.

    >>> selected({"classes": ["nsaid"], "systemic": True})
    'class nsaid (systemic)'
    """
    names = [drug["name"] for drug in selector.get("ingredients", ())]
    names += [f"class {name}" for name in selector.get("classes", ())]
    said = " or ".join(names) or "any drug"
    if "exclude_classes" in selector:
        said += f" but not class {' or '.join(selector['exclude_classes'])}"
    narrowed = [
        {True: "systemic", False: "local forms"}.get(selector.get("systemic", "")),
        selector.get("route"),
        " or ".join(selector.get("dose_form_any", ())),
        f"until {format_number(selector['washout_days'])} days after its end" if selector.get("washout_days") else None,
    ]
    inside = ", ".join(one for one in narrowed if one)
    return f"{said} ({inside})" if inside else said
