"""Reactions to contrast media: which class, how bad, in which order, and what is none."""

from typing import Any

from fhir.mapping.contrast_media import ContrastReaction, contrast_reactions
from fhir.terminology.contrast_media import IODINATED
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import ICD10, condition, record_of


def allergy(words: str, *reactions: str, identifier: str | None = "a", **more: Any) -> dict[str, Any]:
    told = [{"manifestation": [{"text": text} for text in reactions]}] if reactions else None
    return builders.allergy(words, **{"id": identifier, "reaction": told} | more)


def read(*resources: dict[str, Any], name: str = IODINATED) -> list[ContrastReaction]:
    return list(contrast_reactions(record_of(*resources), name))


@for_rows(
    ("resource", "reaction", "how"),
    [
        (allergy("CT dye", "Hives"), "Hives", "not severe"),
        (allergy("CT dye", "Anaphylaxis"), "Anaphylaxis", "severe"),
        (allergy("CT dye", "Hives", "Hypotension"), "Hives", "severe"),
        (allergy("CT dye"), "", "not recorded"),
        (allergy("CT dye, possible", "Anaphylaxis"), "Anaphylaxis", "not severe"),
        (allergy("CT dye", "Vomiting", "Bronchospasm"), "Vomiting", "severe"),
        (allergy("CT dye", "Nausea", "Hives"), "Nausea", "not severe"),
        (allergy("CT dye", "Nausea", "Warmth"), None, None),
        (allergy("CT dye", "Acute kidney injury"), None, None),
        (allergy("CT dye", "Hives", clinicalStatus={"coding": [{"code": "resolved"}]}), None, None),
        (allergy("Shellfish", "Hives"), None, None),
    ],
)
def test_how_bad_a_reaction_was(resource: dict[str, Any], reaction: str | None, how: Any) -> None:
    words = resource["code"]["text"]
    expected = [] if reaction is None else [ContrastReaction(words, reaction, how, True, None, "AllergyIntolerance/a")]
    assert read(resource) == expected


@for_rows(
    ("words", "stated"),
    [
        ("Allergy to IV contrast", [False]), ("Allergy to iodinated contrast", [True]),
        ("Kontrastmittelallergie", [False]), ("Contrast allergy ruled out", []), ("Mother has a contrast allergy", []),
    ],
)  # fmt: skip
def test_a_contrast_allergy_in_the_words_of_a_problem_counts(words: str, stated: list[bool]) -> None:
    problem = {**condition("Z88.9", ICD10), "code": {"text": words}}
    assert [reaction.is_class_stated for reaction in read(problem)] == stated
