"""What a drug settles of a rule is left out of it: the answers, facts and reasons to stay silent are those of all."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from cards.rules.conditions.condition import FALSE, TRUE
from cards.rules.conditions.vocabulary import common_vocabulary
from cards.rules.engine.compile import CompiledBand, NumberedBands
from cards.rules.engine.finding import reasons
from cards.rules.engine.rule_book import ActivatedRule, rule_book
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication, DraftMedication
from cards.rules.patient.session import PatientSession
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cards.rules.cases import all_cases
from tests.cards.rules.patients import draft_of, drafts_of, record_of

IBUPROFEN = {"draft": {"ingredients": [{"rxcui": "5640", "name": "ibuprofen"}]}}
ADULT, CHILD = {"age_years": {"ge": 18}}, {"age_years": {"lt": 18}}


def _drug(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept((), words))


@pytest.mark.parametrize(
    ("condition", "of_ibuprofen", "of_metformin"),
    [
        (IBUPROFEN, TRUE, FALSE),
        ({"not": IBUPROFEN}, FALSE, TRUE),
        ({"all": [IBUPROFEN, {"always": True}]}, TRUE, FALSE),
        ({"all": [ADULT, {"not": IBUPROFEN}]}, FALSE, None),
        ({"any": [IBUPROFEN, {"never": True}]}, TRUE, FALSE),
        ({"any": [IBUPROFEN, ADULT]}, None, None),
        (ADULT, None, None),
    ],
)
def test_a_drug_settles_a_condition_or_leaves_it_to_the_patient(
    condition: dict[str, object], of_ibuprofen: object, of_metformin: object
) -> None:
    predicate = common_vocabulary().compile(condition)
    for drug, expected in (("ibuprofen 400 MG Oral Tablet", of_ibuprofen), ("metformin 500 MG", of_metformin)):
        left = predicate.narrowed(_drug(drug), has_partner=False)
        assert left is expected if expected is not None else left not in (TRUE, FALSE)


def test_drugs_that_settle_the_same_parts_share_what_is_left() -> None:
    predicate = common_vocabulary().compile({"any": [{"all": [IBUPROFEN, ADULT]}, CHILD, ADULT]})
    left = [predicate.narrowed(_drug(words), has_partner=False) for words in ("metformin 500 MG", "warfarin 5 MG")]
    assert left[0] is left[1] is not predicate


def _settings(
    activated: ActivatedRule, session: PatientSession, drafted: DraftMedication
) -> Iterator[tuple[RuleContext, NumberedBands]]:
    """The rule's context without a partner and beside each other medication, with the bands that are asked there."""
    alone = RuleContext(session, drafted, activated.activation.ingredient)
    if activated.activation.alone:
        yield alone, activated.alone
    if activated.has_partners:
        for one in _others(session, drafted):
            yield alone.before((one,), activated.rule.trigger), activated.beside


def _others(session: PatientSession, drafted: DraftMedication) -> list[CurrentMedication]:
    drafts = [CurrentMedication.of_draft(one) for one in session.drafted if one is not drafted]
    return [*session.active, *drafts][:4]


def _says(band: CompiledBand, context: RuleContext) -> tuple[object, ...]:
    """The band's answer; where it is true its facts, and the reasons to stay silent or to say less."""
    truth = band.when.test(context)
    if truth is not True:
        return (truth,)
    why = [[one.code for one in reasons(band, context, instead)] for instead in ("silence", "info", "warning")]
    return truth, band.when.facts(context), why, band.when.uses, band.when.limits


def _compare(as_of: datetime) -> int:
    """How many bands of rules said the same with what their drug leaves of them as with all their parts."""
    compared = 0
    for _, case in all_cases():
        beside = [draft_of(one, f"beside-{place}") for place, one in enumerate(case.get("beside", ()))]
        session = PatientSession(record_of(case["patient"], as_of), drafts_of(draft_of(case["draft"]), *beside))
        for drafted in session.drafted:
            for activated in rule_book().rules_for(drafted.medication):
                for context, asked in _settings(activated, session, drafted):
                    left = dict(asked)
                    for position, whole in activated.rule.numbered_bands:
                        said = _says(whole, context)
                        narrowed = _says(left[position], context) if position in left else (False,)
                        assert narrowed == said, f"{activated.rule.id}/{whole.declared.id}"
                        compared += 1
        session.release()
    return compared


def test_bands_say_the_same_without_what_the_drug_settles_in_every_case_of_every_rule(as_of: datetime) -> None:
    assert _compare(as_of) > 20_000
