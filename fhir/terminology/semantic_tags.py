"""The semantic tags of SNOMED CT behind fully specified names: "Anemia (disorder)", "Stroke unit (environment)"."""

from typing import Final

_TAGS: Final = frozenset({"disorder)", "finding)", "situation)", "event)", "procedure)", "regime/therapy)"})
TAGS_OF_NO_FACT: Final = frozenset(
    {"organism)", "observable entity)", "environment)", "qualifier value)", "substance)", "specimen)", "occupation)"}
    | {"body structure)", "assessment scale)", "staging scale)", "product)", "medicinal product)", "cell)"}
)
"""What these tags name is no fact about a patient: "Hepatitis C virus (organism)"."""


def without_any_tag(text: str) -> str:
    """Return the text without a tag of either kind at its end: what is measured needs none.

    >>> without_any_tag("Serum potassium level (observable entity)"), without_any_tag("GPT (ALAT)")
    ('Serum potassium level', 'GPT (ALAT)')
    """
    before, _, tag = text.rstrip().rpartition("(")
    return before.rstrip() if before.strip() and tag in _TAGS | TAGS_OF_NO_FACT else text


def without_tag(text: str) -> str:
    """Return the text without a tag of what patients have or get at its end, which tells a clinician nothing.

    >>> without_tag("Anemia (disorder)"), without_tag("Anemia (mild)"), without_tag("(finding)")
    ('Anemia', 'Anemia (mild)', '(finding)')
    """
    if not text.rstrip().endswith(")"):
        return text
    before, _, tag = text.rstrip().rpartition("(")
    return before.rstrip() if before.strip() and tag in _TAGS else text
