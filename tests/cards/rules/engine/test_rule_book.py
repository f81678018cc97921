"""One draft before several rules: which are asked, what is found, tolerated and said, and what was looked for."""

from itertools import permutations
from typing import Any

import pytest

from cards.rules.conditions.condition import needs
from cards.rules.engine import rule_book as books
from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.family import Family
from cards.rules.engine.rule_book import DraftEvaluation, RuleBook, rule_book
from cards.rules.language.rule import RuleError
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.record.refusals import WhyNot
from tests.cards.rules.contexts import session_of, study_context_of
from tests.cards.rules.engine.made_rules import band, rule_of
from tests.each import for_rows

Json = dict[str, Any]
METFORMIN: Json = {"drug": "metformin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
WARFARIN: Json = {"drug": "warfarin 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
ASPIRIN: Json = {"drug": "aspirin 81 MG Oral Tablet", "dose": "1 tablet", "times": 1}
TRUE: Json = {"always": True}
FALSE: Json = {"never": True}
UNKNOWN: Json = {"weight_kg": {"gt": 0}}
OF_METFORMIN: Json = {"draft": [{"ingredients": [{"rxcui": "6809", "name": "metformin"}]}]}
OF_WARFARIN: Json = {"draft": [{"ingredients": [{"rxcui": "11289", "name": "warfarin"}]}]}
A_SIDE, B_SIDE = ([{"ingredients": [{"rxcui": code, "name": name}]}] for code, name in (
    ("6809", "metformin"), ("11289", "warfarin")))  # fmt: skip
PAIR: Json = {"pair": [A_SIDE, B_SIDE]}


def _rule(name: str, *bands: Json, **more: Any) -> CompiledRule:
    return rule_of(*bands, **{"id": name, "title": f"Rule {name}", "trigger": OF_METFORMIN, **more})


def _evaluated(rules: list[CompiledRule], *drafts: Json, **patient: Any) -> DraftEvaluation:
    session = session_of(*(drafts or (METFORMIN,)), **patient)
    return RuleBook(rules).evaluate(session, session.drafted[0])


def test_missing_data_has_a_band_of_its_own() -> None:
    missing = [{"id": "ask", "when": TRUE, "bands": ["x"], "summary": "Ask.", "detail": "Ask."}]
    rules = [_rule("a", band("x", UNKNOWN), missing_data=missing), _rule("b", band("x", TRUE))]
    evaluation = _evaluated(rules)
    assert evaluation.finding_keys == {("a", "missing"), ("b", "x")}
    assert [finding.rule for finding in evaluation.findings_of(lambda *_: True)] == ["b"]
    assert evaluation.findings_of(lambda *_: False) == []


@for_rows(
    ("rules", "patient", "text"),
    [
        (1, {}, "looked for 1 interaction: none of the partner drugs is taken."),
        (2, {}, "looked for 2 interactions: none of the partner drugs is taken."),
        (1, {"not_sent": ["MedicationRequest", "MedicationStatement"]},
         "looked for 1 interaction: none of the partner drugs is drafted; the medication list is not known."),
        (0, {}, None),
    ],
)  # fmt: skip
def test_pairs_without_a_partner_are_counted(rules: int, patient: Json, text: str | None) -> None:
    pairs = [_rule(f"pair-{number}", band("x", TRUE), trigger=PAIR) for number in range(rules)]
    evaluation = _evaluated([*pairs, _rule("a", band("x", TRUE))], **patient)
    expected = [WhyNot("MedicationRequest/draft-0", "no-partner", f"Metformin: {text}")] if text else []
    assert list(evaluation.silences) == expected


def test_a_pair_is_judged_where_the_other_drug_is_taken_or_drafted() -> None:
    pair = _rule("pair", band("x", TRUE), trigger=PAIR)
    for evaluation in (_evaluated([pair], METFORMIN, WARFARIN), _evaluated([pair], active=[WARFARIN])):
        assert evaluation.finding_keys == {("pair", "x")}
        assert evaluation.silences == ()
    assert _evaluated([pair], METFORMIN, ASPIRIN).finding_keys == frozenset()


def test_a_local_form_is_not_checked_unless_the_rule_wants_it() -> None:
    of_steroids: Json = {"draft": [{"classes": ["corticosteroid"]}]}
    cream = {"drug": "hydrocortisone 1 % Topical Cream"}
    local = WhyNot("a", "local-form", "Rule a: not checked for a form that acts only where it is put.")
    assert _evaluated([_rule("a", band("x", TRUE), trigger=of_steroids)], cream).silences == (local,)
    wanted = _rule("a", band("x", TRUE), trigger={**of_steroids, "local_forms": True})
    assert _evaluated([wanted], cream).finding_keys == {("a", "x")}


@pytest.mark.parametrize(("indicator", "waits"), [("warning", True), ("silent", False)])
def test_a_rule_waits_for_the_signing_with_the_bands_that_speak(indicator: str, waits: bool) -> None:
    rule = _rule("a", band("x", {"signing": True}, indicator), band("y", TRUE))
    said = "Rule a: only in part checked, the rest when the order is signed."
    assert rule.at_selection == (said if waits else "")


def test_the_scope_says_what_waits_for_the_signing() -> None:
    session = session_of(METFORMIN)
    for when, waits in (({"signing": True}, True), (TRUE, False)):
        scope = RuleBook([_rule("a", band("x", when))]).scope_of(session.drafted[0], session.record, signing=False)
        assert ("The rest is checked when the order is signed." in scope.text) is waits


def test_what_may_still_be_found_after_a_suggestion_is_accepted() -> None:
    dose: Json = {"daily_dose_mg": {"gt": 1}}
    evaluation = _evaluated([
        _rule("own", band("x", TRUE, "info")), _rule("info", band("x", dose, "info")),
        _rule("warns", band("x", TRUE)), _rule("of-dose", band("x", dose)), _rule("not-found", band("x", FALSE)),
    ])  # fmt: skip
    info, warns, of_dose = ("info", "x"), ("warns", "x"), ("of-dose", "x")
    assert evaluation.tolerated("own") == {info, warns, of_dose}
    assert evaluation.tolerated("own", new_dose=True) == {info, warns}
    assert evaluation.tolerated("own", other_drug=True) == {info}
    assert evaluation.tolerated("own", other_drug=True, new_dose=True) == {info}
    assert evaluation.tolerated("warns") == {info, of_dose, ("own", "x")}


def test_the_first_new_finding_is_that_of_the_first_rule_by_name() -> None:
    beside: Json = {"active": {"ingredients": [{"rxcui": "11289", "name": "warfarin"}]}}
    book = RuleBook([_rule("b", band("x", beside)), _rule("a", band("y", beside)), _rule("c", band("x", TRUE))])
    session = session_of(METFORMIN, WARFARIN)
    metformin, warfarin = session.drafts
    alone = session_of(METFORMIN)
    assert book.first_new(session, session.drafted[0], frozenset()) == ("a", "y")
    assert book.first_new(session, session.drafted[0], {("a", "y")}) == ("b", "x")
    assert book.first_new(session, session.drafted[0], {("a", "y"), ("b", "x"), ("c", "x")}) is None
    assert book.first_new(alone, alone.drafted[0], frozenset()) == ("c", "x")
    # What reads nothing of a change is not asked again.
    after = session.with_drafts([metformin])
    assert [one.rule.id for one in book.rules_to_evaluate(after, after.drafted[0])] == ["b", "a"]
    assert book.first_new(after, after.drafted[0], frozenset()) is None
    same = session.with_drafts([metformin, warfarin])
    assert book.rules_to_evaluate(same, same.drafted[0]) == []


ASKS_POTASSIUM = {"label": "Ask", "orders": [{"loinc": "2823-3", "name": "Potassium"}], "answers": "any"}


ALWAYS_READ = {"AllergyIntolerance", "MedicationRequest", "MedicationStatement", "MedicationDispense",
               "MedicationAdministration", "Patient"}  # fmt: skip


def test_what_the_rules_of_a_drug_read() -> None:
    medication = session_of(METFORMIN).drafted[0].medication
    assert RuleBook([_rule("a", band("x", TRUE))]).reads_for(medication) == ALWAYS_READ
    book = RuleBook([_rule("a", band("x", {"lab": "potassium", "gt": 5}, suggestions=[ASKS_POTASSIUM]))])
    assert book.reads_for(medication) == ALWAYS_READ | {"potassium", "Observation", "ServiceRequest"}
    missing = [{"id": "m", "when": TRUE, "bands": ["x"], "summary": "s", "detail": "d",
                "suggestions": [ASKS_POTASSIUM]}]  # fmt: skip
    asking = RuleBook([_rule("a", band("x", TRUE), missing_data=missing)])
    assert asking.reads_for(medication) == ALWAYS_READ | {"ServiceRequest"}
    study = study_context_of({"drug": "PSA", "test": "2857-1"}).medication
    assert book.reads_for(study) == {"Patient"}


def test_what_the_rules_about_tests_read() -> None:
    of_tests = _rule("t", band("x", {"lab": "potassium", "gt": 5}), trigger={"tests": ["psa"]})
    book = RuleBook([of_tests, _rule("a", band("x", {"condition_any": ["gout"]}))])
    assert book.needs_of_tests == needs("ServiceRequest", "Observation", analytes=["potassium"])
    assert book.needs == needs(*ALWAYS_READ - {"Patient"}, "Observation", "Condition", analytes=["potassium"])


def _scope(rules: list[CompiledRule], draft: Json = METFORMIN, *, signing: bool = True, **patient: Any) -> str:
    session = session_of(draft, **patient)
    drafted = (*session.drafted, *session.studies)[0]
    silence = RuleBook(rules).scope_of(drafted, session.record, signing=signing)
    assert (silence.subject, silence.reason) == (drafted.draft.name, "scope")
    return silence.text.removeprefix("metformin: ")


AT_SIGNING: Json = {"all": [{"signing": True}, {"lab": "potassium", "gt": 5}]}
ANY: Json = {"draft": [{"any_drug": True}]}
NONE_ITSELF = "No rule is about this drug itself."


@for_rows(
    ("rules", "signing", "text"),
    [
        ([], True, f"looked for allergy, duplicates. {NONE_ITSELF}"),
        ([_rule("a", band("x", TRUE), trigger=ANY)], True, f"looked for allergy, duplicates. {NONE_ITSELF}"),
        ([_rule("a", band("x", {"age_years": {"gt": 1}}))], True, "looked for allergy, duplicates."),
        ([_rule("a", band("x", {"condition_any": ["gout"]}))], True,
         "looked for allergy, duplicates, 1 condition (gout)."),
        ([_rule("a", band("x", {"condition_any": ["gout", "hf", "afib", "copd", "asthma"]}))], True,
         "looked for allergy, duplicates, 5 conditions (COPD, asthma, atrial fibrillation or flutter, gout and "
         "1 more)."),
        ([_rule("a", band("x", {"condition_any": ["gout", "hf", "afib", "asthma"]}))], True,
         "looked for allergy, duplicates, 4 conditions (asthma, atrial fibrillation or flutter, gout, heart failure)."),
        ([_rule("a", band("x", {"recent_problem": {"icd10": ["K92"], "within_days": 3}}))], True,
         "looked for allergy, duplicates, 1 condition (others by their codes)."),
        ([_rule("a", band("x", {"derived": "egfr_best", "lt": 30}))], True,
         "looked for allergy, duplicates, kidney function."),
        ([_rule("a", band("x", {"any": [{"lab": "potassium", "gt": 5}, {"lab": "inr", "gt": 3}]}))], True,
         "looked for allergy, duplicates, INR, Potassium."),
        ([_rule("a", band("x", {"times_per_week": {"gt": 3}}))], True, "looked for allergy, duplicates, frequency."),
        ([_rule("a", band("x", {"times_per_week": {"gt": 3}}), trigger=ANY)], True,
         f"looked for allergy, duplicates. {NONE_ITSELF}"),
        ([_rule("a", band("x", TRUE), trigger=PAIR), _rule("b", band("x", TRUE), trigger=PAIR)], True,
         "looked for allergy, duplicates, 2 interactions."),
        # A band that is true only beside another drug is an interaction too.
        ([_rule("a", band("x", {"active": {"classes": ["nsaid"]}}))], True,
         "looked for allergy, duplicates, 1 interaction."),
        ([_rule("a", band("x", {"all": [{"lab": "inr", "gt": 3}, {"another": {"classes": ["nsaid"]}}]}))], True,
         "looked for allergy, duplicates, 1 interaction."),
        ([_rule("a", band("x", {"any": [{"active": {"classes": ["nsaid"]}}, {"lab": "inr", "gt": 3}]}))], True,
         "looked for allergy, duplicates, INR."),
        ([_rule("a", band("x", {"any": [{"active": {"classes": ["nsaid"]}}, {"another": {"classes": ["nsaid"]}}]}))],
         True, "looked for allergy, duplicates, 1 interaction."),
        # The values of a silent band are not looked for.
        ([_rule("a", band("x", {"lab": "inr", "gt": 3}, "silent"), band("y", TRUE))], True,
         "looked for allergy, duplicates."),
        ([_rule("a", band("x", AT_SIGNING))], True, "looked for allergy, duplicates, Potassium."),
        ([_rule("a", band("x", AT_SIGNING))], False,
         "looked for allergy, duplicates. The rest is checked when the order is signed."),
        ([_rule("a", band("x", AT_SIGNING), band("y", {"lab": "inr", "gt": 3}))], False,
         "looked for allergy, duplicates, INR. The rest is checked when the order is signed."),
    ],
)  # fmt: skip
def test_what_was_looked_for(rules: list[CompiledRule], signing: bool, text: str) -> None:
    assert _scope(rules, signing=signing) == text


def test_seven_values_are_cut_to_six() -> None:
    labs = ["potassium", "inr", "tsh", "alt", "creatinine", "hemoglobin", "platelets"]
    rule = _rule("a", band("x", {"any": [{"lab": name, "gt": 5} for name in labs]}))
    assert len(_scope([rule]).partition("looked for ")[2].split(", ")) == 2 + 6


def test_a_frequency_that_is_not_stated_is_not_known() -> None:
    rule = _rule("a", band("x", {"times_per_week": {"gt": 3}}))
    assert _scope([rule], {"drug": METFORMIN["drug"]}) == "looked for allergy, duplicates. Not known: frequency."


PSA: Json = {"drug": "PSA", "test": "2857-1"}


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (TRUE, "PSA: looked for nothing."),
        ({"allergy": {"match": "class", "class": "nsaid"}}, "PSA: looked for allergy."),
        ({"active": {"classes": ["nsaid"]}}, "PSA: looked for medications, 1 interaction."),
    ],
)
def test_what_was_looked_for_about_a_test(when: Json, text: str) -> None:
    assert _scope([_rule("t", band("x", when), trigger={"tests": ["psa"]})], PSA) == text


@pytest.mark.parametrize(
    ("rows", "text"),
    [(0, f"looked for allergy, duplicates. {NONE_ITSELF}"), (3, "looked for allergy, duplicates, 3 interactions.")],
)
def test_a_rule_without_a_row_about_the_drug_looked_for_nothing(rows: int, text: str) -> None:
    family = Family("made", covers={"a": lambda _medication: rows})
    assert _scope([_rule("a", band("x", TRUE), trigger=PAIR, family=family)]) == text


def test_a_drug_of_no_class_says_that_its_class_is_not_known() -> None:
    assert _scope([], {"drug": "fezolinetant 45 MG Oral Tablet"}).endswith("Its class is not known here.")


def test_the_rules_of_a_medication_are_remembered_and_forgotten_again() -> None:
    book = RuleBook([_rule("a", band("x", TRUE))])
    medication = session_of(METFORMIN).drafted[0].medication
    assert book.rules_for(medication) is book.rules_for(medication)
    long = identify_concept(CodeableConcept(text="metformin 500 mg " + "x" * 300))
    assert book.rules_for(long) is not book.rules_for(long)


@pytest.mark.parametrize(("spare", "is_kept"), [(1, True), (0, True), (-1, False)])
def test_a_medication_is_remembered_up_to_the_longest_words(
    spare: int, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, medication = RuleBook([_rule("a", band("x", TRUE))]), session_of(METFORMIN).drafted[0].medication
    texts = (medication.rxcuis, medication.dose_form, medication.route, medication.words)
    monkeypatch.setattr(books, "_LONGEST_REMEMBERED", len(f"{texts}") + spare)
    assert (book.rules_for(medication) is book.rules_for(medication)) == is_kept


def test_of_many_medications_the_ones_before_are_forgotten_when_there_are_as_many_as_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(books, "_MOST_REMEMBERED", 2)
    book = RuleBook([_rule("a", band("x", TRUE))])
    first, second, third = (identify_concept(CodeableConcept(text=f"metformin {mass} mg")) for mass in (500, 850, 1000))
    kept = [book.rules_for(first), book.rules_for(second)]
    assert [book.rules_for(first), book.rules_for(second)] == kept
    assert all(again is before for again, before in zip(map(book.rules_for, (first, second)), kept, strict=True))
    book.rules_for(third)
    assert book.rules_for(first) is not kept[0]


def test_what_is_wrong_with_a_rule_is_said_where_it_stands() -> None:
    missing = [{"id": "m", "when": TRUE, "bands": ["x", "zz", "yy"], "summary": "s", "detail": "d"}]
    wrong: list[tuple[Json, str, tuple[Any, ...]]] = [
        ({"missing_data": missing}, "a band of yy, zz does not exist", ("rules", 0, "missing_data", 0, "bands")),
        ({"trigger": {}}, "a trigger without draft and pair activates nothing", ("rules", 0, "trigger")),
        ({"trigger": {"pair": [A_SIDE]}}, "a pair has two sides, each with a selector", ("rules", 0, "trigger")),
        ({"trigger": {"pair": [A_SIDE, []]}}, "a pair has two sides, each with a selector", ("rules", 0, "trigger")),
        ({"trigger": {"draft": [{"classes": ["a"], "washout_days": 3}]}}, "washout_days is for the sides of a pair",
         ("rules", 0, "trigger")),
        ({"questions": [{"text": "q", "when": {"alway": True}}]},
         "no word of conditions is called 'alway'; did you mean 'always'?", ("rules", 0, "questions", 0, "when")),
        ({"silent_when": [{"code": "c", "text": "t", "when": {"sex": "male", "zzz": 1}}]},
         "Object contains unknown field `zzz`", ("rules", 0, "silent_when", 0, "when")),
    ]  # fmt: skip
    for more, text, path in wrong:
        with pytest.raises(RuleError) as refused:
            _rule("a", band("x", TRUE), **more)
        assert (refused.value.text, refused.value.path) == (text, path)
    changed = {"label": "l", "change": {"computed": "nothing"}}
    with pytest.raises(RuleError) as refused:
        _rule("a", band("x", TRUE, suggestions=[changed]))
    assert refused.value.text == "the family made has no change called 'nothing'"
    assert refused.value.path == ("rules", 0, "bands", 0, "suggestions", 0, "change")


def test_a_rule_reads_the_data_of_all_its_conditions() -> None:
    def lab(name: str) -> Json:
        return {"lab": name, "gt": 5}

    suggestion = {"label": "l", "recommended": lab("alt"), "only_if": lab("ast"), "orders": [
        {"loinc": "2823-3", "name": "K", "only_if": lab("tsh")}]}  # fmt: skip
    rule = _rule("a", band("x", lab("potassium"), suggestions=[suggestion]),
                 missing_data=[{"id": "m", "when": lab("inr"), "bands": ["x"], "summary": "s", "detail": "d"}],
                 silent_when=[{"code": "c", "text": "t", "when": lab("qtc")}],
                 questions=[{"text": "q", "when": lab("sodium")}])  # fmt: skip
    assert rule.needs.analytes == {"alt", "ast", "tsh", "potassium", "inr", "qtc", "sodium"}
    assert rule.band_uses == {"lab:potassium"}


# Which rules a medication activates depends on that medication alone, not on those that were asked of before it.


_WAYS = {
    "insulin glargine": ("insulin glargine", "insulin glargine KwikPen", "insulin glargine flextouch pen"),
    "methotrexate": ("methotrexate", "methotrexate intrathecal", "methotrexate prefilled syringe"),
    "enoxaparin": ("enoxaparin", "enoxaparin subcut"),
    "morphine": ("morphine", "morphine pca", "morphine extended release"),
}


def _medication(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept(text=words))


def _rules(book: RuleBook, words: str) -> list[str]:
    return [activated.rule.id for activated in book.rules_for(_medication(words))]


@for_rows("drug", _WAYS)
def test_the_rules_of_a_drug_are_the_same_whatever_was_ordered_before(drug: str) -> None:
    alone = {words: _rules(RuleBook(rule_book().rules), words) for words in _WAYS[drug]}
    for order in permutations(_WAYS[drug]):
        book = RuleBook(rule_book().rules)
        assert {words: _rules(book, words) for words in order} == alone, order


def test_a_pen_is_injected_and_a_bare_name_is_not_known_to_be() -> None:
    rules = _rules(rule_book(), "insulin glargine"), _rules(rule_book(), "insulin glargine KwikPen")
    assert ["dose-interval-insulin-basal" in ids for ids in rules] == [False, True]
