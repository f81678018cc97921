"""Declares the condition and the texts about reactions to contrast media, for the rules `img-*-allergy.json` beside it.

`family.py` puts it together with those of the other orders; fhir/mapping/contrast_media.py reads the chart.
"""

from collections.abc import Mapping
from typing import Final

from cards.extension import Fact
from cards.rules.conditions.condition import Condition, Spec, Truth, members, needs, one_of, some, with_value
from cards.rules.engine.family import Fill, Placeholder, written
from cards.rules.patient.context import RuleContext
from cards.text import decapitalized, plain
from fhir.mapping.contrast_media import ContrastReaction, contrast_reactions
from fhir.record.record import PatientRecord
from fhir.terminology.contrast_media import GADOLINIUM, IODINATED

_CLASSES: Final[Mapping[str, str]] = {"iodinated": IODINATED, "gadolinium": GADOLINIUM}
_LONGEST_REACTION: Final = 30


def _reactions(record: PatientRecord, to: str) -> list[ContrastReaction]:
    return list(contrast_reactions(record, _CLASSES[to]))


def _matching(wanted: Spec, context: RuleContext) -> list[ContrastReaction]:
    how, stated = wanted.get("how"), wanted.get("class_stated")
    return [
        reaction
        for reaction in context.session.record.derive(_reactions, wanted["to"])
        if (not how or reaction.how in how) and (stated is None or reaction.is_class_stated is stated)
    ]


def _has_reacted(wanted: Spec, context: RuleContext) -> Truth:
    if _matching(wanted, context):
        return True
    return False if context.session.record.was_requested("AllergyIntolerance") else None


def _reaction_facts(wanted: Spec, context: RuleContext) -> list[Fact]:
    return [
        Fact(
            "allergy",
            plain(f"{_named(reaction, wanted['to'])}: {_reaction_of(reaction)}", 80),
            wanted["to"],
            effective=reaction.date,
            source=reaction.source,
        )
        for reaction in _matching(wanted, context)
    ]


def _named(reaction: ContrastReaction, to: str) -> str:
    return f"{to} contrast (code {reaction.words})" if reaction.words.isdigit() else reaction.words


def _reaction_of(reaction: ContrastReaction) -> str:
    text = plain(reaction.reaction, _LONGEST_REACTION)
    return decapitalized(text) if text and not text[:2].isupper() else text or "reaction not recorded"


def _first_to(to: str) -> Placeholder[Fill]:
    first = written(lambda context: next(iter(context.session.record.derive(_reactions, to)), None), _reaction_of)
    return Placeholder(first, "r" * _LONGEST_REACTION)


PLACEHOLDERS = {"iodine_reaction": _first_to("iodinated"), "gadolinium_reaction": _first_to("gadolinium")}


def _allergies_gap(context: RuleContext) -> tuple[str, str] | None:
    is_known = context.session.record.was_requested("AllergyIntolerance")
    return None if is_known else ("allergies-missing", "the allergy list is not known.")


GAPS = {"allergies": _allergies_gap}
"""Why it is not known whether the patient had a reaction to contrast media."""


def _wording(wanted: Mapping[str, object]) -> str:
    how = wanted.get("how")
    text = f"a reaction to {wanted['to']} contrast" + (f" ({' or '.join(how)})" if isinstance(how, list) else "")
    return text + (", the class not stated" if wanted.get("class_stated") is False else "")


WORDS: tuple[Condition, ...] = (
    with_value(
        "contrast_reaction",
        members(
            ("to",),
            to=one_of(*sorted(_CLASSES)),
            how=some(one_of("severe", "not severe", "not recorded")),
            class_stated=bool,
        ),
        _has_reacted,
        _wording,
        "a reaction `to` contrast media (`iodinated`, `gadolinium`) is on record, narrowed by `how` bad it was and by "
        "whether the entry states the class; physiologic reactions do not count",
        frozenset({"allergies"}),
        _reaction_facts,
        needs("AllergyIntolerance", "Condition"),
    ),
)
