"""What a card of each band says, whole: a change of a word, a dose, a code or a source is a change of a pinned text."""

from cards.rules.engine.rule_book import whole_book
from tests.cards.rules.pinned import FOLDER, cases_of_bands, file_of, rules_with_cases, text_of_rule
from tests.each import for_each

WRITE = "read the difference, then: .venv/bin/python -m tests.cards.rules.confirm {rule} --write"


def test_the_cards_of_a_rule_are_those_of_its_text() -> None:
    def check(rule: str) -> None:
        written = file_of(rule).read_text(encoding="utf-8").splitlines() if file_of(rule).exists() else []
        assert text_of_rule(rule).splitlines() == written, WRITE.format(rule=rule)

    for_each(((rule, (rule,)) for rule in rules_with_cases()), check)


def test_every_band_that_is_shown_has_a_pinned_card() -> None:
    bands = {
        (rule.id, band.declared.id)
        for rule in whole_book().rules
        if rule.declared.template is None
        for band in rule.bands
        if band.declared.indicator != "silent"
    }
    pinned = {(rule, case["band"]) for rule in rules_with_cases() for case in cases_of_bands(rule)}
    # only a stale weight asks for a new one, and the cases of it fire a limit first: it has no card of its own here
    assert bands - pinned <= {("dose-max", "weight_wanted")}


def test_no_pinned_text_is_left_of_a_rule_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(rules_with_cases())
