"""Which members of a class a contraindication does not name, though it names most of them: each is refused by name.

A row of label_diseases.csv that names at least three drugs of a class and at least half of it is about the class. Its
other members are listed in class_members.csv with the reason why they have no row; a member that gets a row leaves
the list, and a class that grows adds to it.

label_contraindications.csv has what the Contraindications of the US labels of 581 drugs name, collected from DailyMed
(everycure-org/matrix-indication-list@faaa320, matrix_contraindication_list.xlsx, read 2026-11-25): for groups of
problems the drugs whose label excludes them, those with a rule and those without, with the reason for none.
"""

import csv
from collections.abc import Sequence
from datetime import datetime

from tests.cards.rules.cases import check, findings
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import ROOT


def _rows(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader((ROOT / path).read_text("utf-8").splitlines()))


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
