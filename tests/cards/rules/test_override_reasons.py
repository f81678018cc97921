"""The reasons for which a clinician sets a finding aside: what each says, and those of each family word for word."""

from cards.rules.engine.rule_book import whole_book

USUAL = {
    "benefit": "Benefit outweighs risk for this patient", "tolerated": "Patient has tolerated this combination before",
    "palliative": "Palliative or comfort care", "specialist": "On specialist advice",
    "shortcourse": "Short course only", "notaccurate": "Chart information is out of date or wrong",
    "monitor": "Will monitor; already arranged", "done": "Already adjusted or done",
    "level": "Dose guided by a drug level", "external": "Monitored elsewhere (result not in this chart)",
    "refused": "Patient declines the alternative", "discussed": "Discussed with radiology or the laboratory",
}  # fmt: skip
OF_A_FAMILY = {
    ("dose", "tolerated"): "Patient has tolerated this dose before",
    ("genes", "tolerated"): "Taken and tolerated before",
    ("orders", "done"): "Already arranged",
}


def test_an_override_reason_says_what_its_code_means() -> None:
    families = {rule.family.name: rule.override_reasons for rule in whole_book().rules}
    shown = {(family, reason.code): reason.display for family, reasons in families.items() for reason in reasons}
    assert {code for _, code in shown} == set(USUAL)
    assert shown == {(family, code): OF_A_FAMILY.get((family, code), USUAL[code]) for family, code in shown}
