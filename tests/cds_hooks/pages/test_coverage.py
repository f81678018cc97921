"""Which checks exist for each drug and test."""

import re
from pathlib import Path

import httpx

from cards.rules.engine.coverage import CHECKS
from cards.rules.engine.rule_book import rule_book
from cds_hooks.package_tests.markup import faults
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from tests.cds_hooks.calls import client, request_for
from tests.cds_hooks.web.decisions import AS_OF

METFORMIN = ("order-safety", "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
METFORMIN_WORDS = identify_concept(CodeableConcept(text="metformin"))


async def _asked(tmp_path: Path, *drugs: str) -> list[httpx.Response]:
    async with client(tmp_path, as_of=AS_OF) as calls:
        await calls.post("/cds-services/order-safety", json=request_for(*METFORMIN))
        return [await calls.get("/rules", params={"drug": drug}) for drug in drugs]


async def test_an_ingredient_and_its_brand_have_every_check_with_its_rules_and_rows_and_how_often_they_fired(
    tmp_path: Path,
) -> None:
    ingredient, brand = await _asked(tmp_path, "metformin", "Glucophage")
    for page in (ingredient, brand):
        assert page.status_code == 200
        assert faults(page.text) == []
        rules = set(re.findall(r'<a href="rules/([a-z0-9-]+)">', page.text))
        assert rules == {activated.rule.id for activated in rule_book().rules_for(METFORMIN_WORDS)}
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))
        assert "Read as metformin" in text
        assert re.search(r"Pairs that a label names: \d+ rows? about metformin", text)
        assert re.search(r"Maximum dose: \d+ rows? about metformin .*at most 3,000 mg a day", text)
        assert "among the newest 1 calls" in text
        exist, lacks = re.findall(r"<dt>(?:Checks|No check exists for)</dt><dd[^>]*>([^.]*)\.", page.text)
        assert exist.split(", ") == [check for check in CHECKS if check not in lacks.split(", ")]


async def test_a_class_names_its_members_and_has_the_rules_of_each(tmp_path: Path) -> None:
    by_own_name, by_words, test, unknown = await _asked(
        tmp_path, "statins", "proton pump inhibitors", "MRI brain with contrast", "<img src=x>"
    )
    assert "the class statin: " in re.sub(r"<[^>]+>", "", by_own_name.text)
    assert 'href="rules?drug=simvastatin"' in by_own_name.text
    assert 'href="rules/pgx-simvastatin"' in by_own_name.text
    assert 'href="rules?drug=omeprazole"' in by_words.text
    assert "an order of imaging or of a test" in test.text
    assert unknown.status_code == 404
    assert "Not in the tables" in unknown.text
    assert faults(unknown.text) == []
