"""A hospital's own knowledge base: the rows of its vendor fire, near misses do not, and what is not known is told.

The folder is named before the first rule is read, so each question goes to a process of its own.
"""

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.medications import INGREDIENTS
from tests.cards.rules.site_folder import write_site_rules

Json = dict[str, Any]
ASK = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from cards.rules.language.site import use_site_rules
use_site_rules(Path(sys.argv[1]))
from cards.casebook.patients import draft_of, drafts_of, record_of
from cards.orders import check_orders
from cards.rules.engine.governance import all_rule_versions
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.knowledge_base import knowledge_base, listed_faults
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "call"
sys.setprofile(count)
knowledge_base()
sys.setprofile(None)
read, calls, as_of, said = calls, 0, datetime(2026, 11, 20, 9, tzinfo=UTC), []
rule_book()
asked = json.loads(sys.stdin.read())
sys.setprofile(count)
for draft, patient in asked:
    names = iter(map(str, range(999)))
    outcome = check_orders(record_of(patient, as_of), drafts_of(draft_of(draft)), None, names.__next__, signing=True)
    said.append([[one.rule, one.band, card.source.label, card.summary] for card in outcome.cards
                 for one in card.own_extension.findings])
sys.setprofile(None)
versions = {name: version.digest for name, version in all_rule_versions().items() if name.startswith("site-knowledge")}
print(json.dumps({"said": said, "told": list(listed_faults()), "versions": versions, "read": read, "calls": calls}))
"""
LEVELS = '[levels]\n1 = "critical"\n2 = "warning"\n9 = "silent"\n'
HEAD = 'vendor = "Invented"\nedition = "2026-11"\nscope = "{scope}"\n' + LEVELS


def _folder(folder: Path, tables: dict[str, list[str]], scope: str = "beside") -> Path:
    write_site_rules(folder, "St. Mary's")
    (folder / "severity.toml").write_text(HEAD.format(scope=scope))
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def _ask(folder: Path, asked: list[tuple[Json, Json]]) -> Json:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder)], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: Json = json.loads(done.stdout)
    return answer


def _drugs() -> list[tuple[str, str]]:
    """Return drugs that a swallowed form alone has, with their RxNorm codes."""
    drugs = []
    for code, ingredient in sorted(INGREDIENTS.items()):
        identity = identify_concept(CodeableConcept(text=f"{ingredient.name} 10 MG Oral Tablet"))
        if code.isdecimal() and identity.rxcuis == (code,) and identity.systemic is not False:
            drugs.append((code, ingredient.name))
    return drugs


def _order(name: str) -> Json:
    return {"drug": f"{name} 10 MG Oral Tablet", "code": None}


def _pairs(count: int) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    drugs = _drugs()[:400]
    return [pair for pair in combinations(drugs, 2) if (int(pair[0][0]) + int(pair[1][0])) % 2][:count]


def _asked(pair: tuple[tuple[str, str], tuple[str, str]]) -> tuple[Json, Json]:
    (_, first), (_, second) = pair
    return _order(first), {"active": [_order(second)]}


def _found(said: list[list[str]], rule: str) -> list[str]:
    return [band for of_rule, band, _, _ in said if of_rule == rule]


@pytest.mark.slow
def test_each_pair_of_the_vendor_fires_and_its_near_misses_do_not(tmp_path: Path) -> None:
    pairs = _pairs(40)
    lines = ["a_key,b_key,severity,mechanism,advice"]
    lines += [f"{a},{b},{1 + number % 2},mechanism {number},Watch." for number, ((a, _), (b, _)) in enumerate(pairs)]
    near = [(first, second) for (first, _), (_, second) in zip(pairs, pairs[7:], strict=False)]
    near = [pair for pair in near if pair not in pairs and pair[0] != pair[1]]
    answer = _ask(_folder(tmp_path, {"pairs": lines}), [_asked(pair) for pair in [*pairs, *near]])
    bands = [_found(said, "site-knowledge-pairs") for said in answer["said"]]
    assert bands[: len(pairs)] == [[("critical", "warning")[number % 2]] for number in range(len(pairs))]
    assert bands[len(pairs) :] == [[] for _ in near]


TABLES = {
    "pairs": ["a_key,b_key,severity,mechanism,advice", "C09AA03,sertraline,2,one,x", "999999999,36437,2,two,x",
              "29046,36437,7,three,x", "own-1,6851,1,four,x", "29046,161,9,five,x"],
    "drugs": ["code,drug", "own-1,ibuprofen"],
    "duplicates": ["class,key,severity", "acid,A02BC,2"],
    "diseases": ["key,condition,severity,hazard,advice", "7646,M81,2,fractures,x"],
    "allergy_classes": ["class,key,severity", "sulfa,celecoxib;10180,2"],
}  # fmt: skip
OSTEOPOROSIS = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M81.0"}], "text": "Osteoporosis"}
PROBLEM = {"resourceType": "Condition", "id": "p", "code": OSTEOPOROSIS, "subject": {"reference": "Patient/case"}}
BY_OID = {"coding": [{"system": "urn:oid:2.16.840.1.113883.6.90", "code": "M81.0"}]}
GERMAN = {"coding": [{"system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm", "code": "M81.0"}]}
OF_ANOTHER_SYSTEM = {"coding": [{"system": "urn:oid:1.2.3.4", "code": "M81.0"}]}
REFUTED = {"verificationStatus": {"coding": [{"code": "refuted"}]}}
ROWS: list[tuple[Json, Json, str, list[str]]] = [
    ({"drug": "lisinopril 10 MG Oral Tablet"}, {"active": ["sertraline 50 MG Oral Tablet"]}, "pairs", ["warning"]),
    ({"drug": "lisinopril 10 MG Oral Tablet"}, {"active": ["citalopram 20 MG Oral Tablet"]}, "pairs", []),
    ({"drug": "lisinopril 10 MG Oral Tablet"}, {"active": ["acetaminophen 500 MG Oral Tablet"]}, "pairs", []),
    ({"drug": "ibuprofen 600 MG Oral Tablet"}, {"active": ["methotrexate 2.5 MG Oral Tablet"]}, "pairs", ["critical"]),
    ({"drug": "omeprazole 20 MG Delayed Release Oral Capsule"},
     {"active": ["pantoprazole 40 MG Delayed Release Oral Tablet"]}, "duplicates", ["warning"]),
    ({"drug": "omeprazole 20 MG Delayed Release Oral Capsule"}, {"active": ["famotidine 20 MG Oral Tablet"]},
     "duplicates", []),
    ({"drug": "omeprazole 20 MG Delayed Release Oral Capsule"}, {"more": [PROBLEM]}, "diseases", ["warning"]),
    ({"drug": "omeprazole 20 MG Delayed Release Oral Capsule"},
     {"more": [{**PROBLEM, "abatementDateTime": "2026-01-01"}]}, "diseases", []),
    *(({"drug": "omeprazole 20 MG Delayed Release Oral Capsule"}, {"more": [{**PROBLEM, **changed}]}, "diseases", bands)
      for changed, bands in (({"code": BY_OID}, ["warning"]), ({"code": GERMAN}, ["warning"]),
                             ({"code": OF_ANOTHER_SYSTEM}, []), (REFUTED, []))),
    ({"drug": "celecoxib 200 MG Oral Capsule"}, {"allergies": ["sulfamethoxazole"]}, "allergies", ["warning"]),
    ({"drug": "celecoxib 200 MG Oral Capsule"}, {"allergies": ["amoxicillin"]}, "allergies", []),
]  # fmt: skip


def test_every_table_speaks_by_its_codes_and_a_row_with_an_unknown_one_is_told(tmp_path: Path) -> None:
    answer = _ask(_folder(tmp_path, TABLES), [(draft, patient) for draft, patient, _, _ in ROWS])
    found = [_found(said, f"site-knowledge-{kind}") for said, (_, _, kind, _) in zip(answer["said"], ROWS, strict=True)]
    assert found == [bands for _, _, _, bands in ROWS]
    assert [told.rpartition("pairs.csv, ")[2].partition(":")[0] for told in answer["told"]] == ["line 3", "line 4"]
    assert {source for _, _, source, _ in answer["said"][0]} == {"Invented 2026-11, interactions"}


@pytest.mark.slow
def test_the_vendor_speaks_in_place_of_our_rows_and_another_edition_is_another_version(tmp_path: Path) -> None:
    statin = ({"drug": "clarithromycin 500 MG Oral Tablet"}, {"active": ["simvastatin 40 MG Oral Tablet"]})
    lines = ["a_key,b_key,severity", "21212,6851,2", "36567,6851,2"]
    beside, instead = (
        _ask(_folder(tmp_path / scope, {"pairs": lines}, scope), [statin]) for scope in ("beside", "instead")
    )
    assert any(rule.startswith("ddi-") for rule, *_ in beside["said"][0])
    assert not any(rule.startswith("ddi-") for rule, *_ in instead["said"][0])
    assert beside["versions"].keys() == instead["versions"].keys()
    assert beside["versions"] != instead["versions"]


@pytest.mark.slow
def test_an_export_of_fifty_thousand_pairs_is_read_in_few_calls_and_costs_an_order_little(tmp_path: Path) -> None:
    pairs = _pairs(50_000)
    assert len(pairs) > 30_000
    lines = ["a_key,b_key,severity,mechanism", *(f"{a},{b},2,mechanism" for (a, _), (b, _) in pairs)]
    fires = [_asked(pair) for pair in pairs[:: len(pairs) // 300][:300]]
    ordinary = [({"drug": "lisinopril 10 MG Oral Tablet"}, {"active": ["cholecalciferol 25 MCG Oral Tablet"]})] * 300
    large, small = _folder(tmp_path / "large", {"pairs": lines}), _folder(tmp_path / "small", {"pairs": lines[:2]})
    answer = _ask(large, fires)
    assert [_found(said, "site-knowledge-pairs") for said in answer["said"]] == [["warning"]] * 300
    # Calls of functions, which do not depend on the load of the machine: 13 for each row, and none for an order.
    assert answer["read"] < 20 * len(pairs)
    assert _ask(large, ordinary)["calls"] < 1.01 * _ask(small, ordinary)["calls"]
