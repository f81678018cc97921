"""Which members of a class a contraindication does not name, though it names most of them: each is refused by name.

A row of label_diseases.csv that names at least three drugs of a class and at least half of it is about the class. Its
other members are listed in class_members.csv with the reason why they have no row; a member that gets a row leaves
the list, and a class that grows adds to it.

label_contraindications.csv has what the Contraindications of the US labels of 581 drugs name, collected from DailyMed
(everycure-org/matrix-indication-list@faaa320, matrix_contraindication_list.xlsx, read 2026-11-25): for groups of
problems the drugs whose label excludes them, those with a rule and those without, with the reason for none.
"""

import csv
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from tests.cards.rules.cases import check, findings
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import ROOT

# Groups of drugs that share no effect: a row about some of them says nothing about the rest.
NO_CLASSES = {
    *("misc", "hormone", "oncology", "immunosuppressant", "antiviral", "antibacterial_other", "vitamin", "respiratory"),
    "anticonvulsant",
}
LEAST_NAMED = 3


def _rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / path).read_text("utf-8").splitlines()))


def _members() -> dict[str, set[str]]:
    kinds = _rows("fhir/terminology/tables/medication_classes.csv")
    classes = {row["class"] for row in kinds if row["kind"] == "therapeutic"} - NO_CLASSES
    members: dict[str, set[str]] = defaultdict(set)
    for row in _rows("fhir/terminology/tables/ingredients.csv"):
        for name in classes.intersection(row["classes"].split(";")):
            members[name].add(row["name"])
    return members


def test_each_member_that_a_row_of_its_class_does_not_name_is_refused_with_a_reason() -> None:
    members = _members()
    rows = _rows("cards/rules/families/disease/label_diseases.csv")
    named_for_group: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        of_classes: set[str] = set().union(*(members.get(name, set()) for name in row["class"].split(";")))
        for group in row["groups"].split(";"):
            named_for_group[group] |= of_classes.union(row["drug"].split(";"))
    missing = {
        (row["name"], name, drug)
        for row in rows
        for name, drugs in members.items()
        if (named := drugs.intersection(row["drug"].split(";")))
        and len(named) >= LEAST_NAMED
        and len(named) * 2 >= len(drugs)
        for drug in drugs - named
        if not any(drug in named_for_group[group] for group in row["groups"].split(";"))
    }
    refused = _rows("tests/tables/class_members.csv")
    assert missing == {(row["row"], row["class"], row["drug"]) for row in refused}
    assert all(row["reason"] for row in refused)


def test_each_contraindication_of_a_label_has_a_rule_or_a_reason_for_none(as_of: datetime) -> None:
    def rules(drug: str, groups: Sequence[str]) -> set[str]:
        record = record_of({"age": 50, "sex": "female", "conditions": groups}, as_of)
        return {rule for rule, _, _ in findings(check(record, drafts_of(draft_of({"drug": drug}))))}

    without_problem: dict[str, set[str]] = {}
    for row in _rows("tests/tables/label_contraindications.csv"):
        refused = set(filter(None, row["without_row"].split(";")))
        drugs = refused | set(filter(None, row["with_row"].split(";")))
        for drug in drugs:
            without_problem.setdefault(drug, rules(drug, ()))
        silent = {drug for drug in drugs if not rules(drug, row["groups"].split(";")) - without_problem[drug]}
        assert silent == refused, row["groups"]
        assert bool(row["reason"]) == bool(refused), row["groups"]
