"""Genes: every recommendation of the tables is what a patient with these results gets, and what is shown is bounded."""

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.families.genes import knowledge
from cards.rules.families.genes.advice import Advice, advice_of
from cards.rules.families.genes.knowledge import (
    ANY,
    GENE_DRUGS,
    REQUIRED_TESTS,
    SEVERITY,
    Action,
    GeneDrug,
    Recommendation,
)
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from fhir.mapping.genomics.tables import GENES, NO_RESULT, phenotype_of
from fhir.terminology.medications import INGREDIENTS, RXNORM, Ingredient
from maintenance.genes import import_release
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import ROOT
from tests.each import for_rows
from tests.fhir.builders import observation

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FOLDER = ROOT / "cards" / "rules" / "families" / "genes"
Json = dict[str, Any]

_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
_REASONS = {
    "coronary: acute coronary syndrome or PCI": "I21.4",
    "cardiovascular, neither ACS nor PCI": "I70.2",
    "neurovascular (stroke, TIA)": "I63.9",
}


def _known_keys(gene: str) -> frozenset[str]:
    return frozenset({"positive", "negative"}) if "*" in gene else GENES[gene].keys


def _result(gene: str, key: str) -> Json:
    """A result in words or as a score; an indeterminate one of an activity score gene as that word."""
    text = f"activity score {key}" if phenotype_of(gene, key) != key and key != "n/a" else key
    identity, code = f"result-{gene.replace('*', '-').replace(':', '-')}", {"text": f"{gene} result"}
    value = "indeterminate" if key == "n/a" else text
    return observation(code, when="2025-05-06", patient="case", id=identity, valueString=value)


def _context(drug: GeneDrug, row: Recommendation, *resources: Json) -> RuleContext:
    concept = {"coding": [{"system": RXNORM, "code": drug.rxcui}], "text": INGREDIENTS[drug.rxcui].name}
    more: Json = {"medicationCodeableConcept": concept}
    if row.population in _REASONS:
        more["reasonCode"] = [{"coding": [{"system": _ICD10, "code": _REASONS[row.population]}]}]
    found = [_result(gene, key) for gene, key in zip(drug.genes, row.keys, strict=True) if key != NO_RESULT]
    patient: Json = {"age": 9 if row.population == "children" else 60, "more": [*found, *resources]}
    if row.population.startswith("had it"):
        patient["active"] = [{"drug": "x", "days_ago": 100, "more": {"medicationCodeableConcept": concept}}]
        before = {"drug": "x", "days_ago": 240, "status": "completed", "more": {"medicationCodeableConcept": concept}}
        patient["active"].append(before)
    record = record_of(patient, AS_OF)
    session = PatientSession(record, drafts_of(draft_of({"drug": "x", "more": more})), signing=True)
    (drafted,) = session.drafted
    return RuleContext(session, drafted, Ingredient(drug.rxcui, INGREDIENTS[drug.rxcui].name))


def _advice(drug: GeneDrug, row: Recommendation, *resources: Json) -> Advice | None:
    return advice_of(_context(drug, row, *resources))


@for_rows("rxcui", sorted(GENE_DRUGS))
def test_a_patient_with_the_keys_of_a_row_gets_what_the_row_says(rxcui: str) -> None:
    drug = GENE_DRUGS[rxcui]
    for row in drug.rows.values():
        is_open = any(key in ("n/a", "Indeterminate") for key in row.keys)
        if row.population.endswith("no alternative available") or all(key == NO_RESULT for key in row.keys):
            continue
        pairs = zip(drug.genes, row.keys, strict=True)
        if is_open and any(key not in _known_keys(gene) for gene, key in pairs):
            continue
        advice = _advice(drug, row)
        assert advice is not None, row
        if row.indicator == "silent":
            assert advice.indicator == "silent", row
        else:
            assert (advice.band, advice.indicator) == (row.action.name, row.indicator), row


def test_only_the_drugs_of_the_proposal_can_be_critical() -> None:
    loud = {drug.rxcui for drug in GENE_DRUGS.values() for row in drug.rows.values() if row.indicator == "critical"}
    bands = {
        code
        for rule in rule_book().rules
        if rule.family.name == "genes" and any(band.declared.indicator == "critical" for band in rule.bands)
        for side in rule.trigger.singles
        for code in side.ingredients
    }
    assert bands == loud


def _row(name: str, *keys: str, population: str = ANY) -> tuple[GeneDrug, Recommendation]:
    rxcui = next(code for code in GENE_DRUGS if INGREDIENTS[code].name == name)
    drug = GENE_DRUGS[rxcui]
    return drug, drug.rows[population, keys]


def test_a_doubtful_result_is_never_critical() -> None:
    drug, row = _row("codeine", "≥3.0")
    beside = {**_result("CYP2D6", "1.0"), "id": "second"}
    advice = _advice(drug, row, beside)
    assert advice is not None
    assert (advice.band, advice.indicator) == ("avoid", "warning")
    assert "differ" in " ".join(advice.doubts)


def test_a_test_is_asked_for_before_drugs_of_the_table_only() -> None:
    (rule,) = [one for one in rule_book().rules if one.id == "pgx-test-before"]
    drugs = {code for side in rule.trigger.singles for code in side.ingredients}
    assert drugs == set(REQUIRED_TESTS)


def test_the_files_of_the_family_have_a_source_in_every_row() -> None:
    for path in (FOLDER / "data").glob("*.csv"):
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        assert rows
        if path.name != "actions.csv":  # named by the recommendations that use them
            assert all(row["source"] for row in rows), path.name


# The tables of genes as they are read: rows typed again from data/, actions, lines of FDA's table, tests before.
ABACAVIR, AMITRIPTYLINE, CITALOPRAM, CODEINE, SIPONIMOD, AZATHIOPRINE, ATORVASTATIN, EFAVIRENZ, SIMVASTATIN = (
    "190521", "704", "2556", "2670", "2121085", "1256", "83367", "195085", "36567")  # fmt: skip


def _actions(rxcui: str) -> dict[str, Action]:
    return {row.action.instruction: row.action for row in GENE_DRUGS[rxcui].rows.values()}


@for_rows(
    ("rxcui", "action"),
    [
        (ABACAVIR, Action("avoid", "do not use; other antiretroviral")),
        (AMITRIPTYLINE, Action("avoid_unless", "avoid (depression doses); if kept, half the starting dose by levels",
                               (50.0, 50.0), levels=True)),
        # Without a part of the starting dose that of the maintenance dose; a single number is both ends.
        (CITALOPRAM, Action("alternative_or_reduce", "consider another antidepressant; if kept, lower start, slower "
                            "steps, half of the usual maintenance dose", (50.0, 50.0))),
        (AZATHIOPRINE, Action("reduce", "start with 30 to 80 % of the full dose", (30.0, 80.0))),
        (ATORVASTATIN, Action("limit", "start with at most 40 mg a day", limit="40")),
        # A limit of the start alone, of every dose alone, and of FDA's table where it begins with one.
        (EFAVIRENZ, Action("reduce", "consider 400 mg a day instead of 600", limit="400")),
        (SIMVASTATIN, Action("avoid_unless", "another statin; if kept, under 20 mg a day", limit="<20")),
        (SIPONIMOD, Action("limit", "FDA's table: limited dose (*1/*3 or *2/*3 by the label, 1 mg/day)", limit="1")),
        (SIPONIMOD, Action("avoid", "FDA's table: do not use (*3/*3 by the label)")),
    ],
)  # fmt: skip
def test_an_action_is_read_with_its_numbers(rxcui: str, action: Action) -> None:
    assert _actions(rxcui)[action.instruction] == action


def test_a_recommendation_of_cpic() -> None:
    codeine = GENE_DRUGS[CODEINE]
    assert (codeine.rxcui, codeine.genes, codeine.populations) == (CODEINE, ("CYP2D6",), ("any",))
    poor = codeine.rows["any", ("0.0",)]
    assert (poor.population, poor.keys, poor.indicator, poor.source) == ("any", ("0.0",), "warning", "CPIC: Strong")
    two = GENE_DRUGS[AMITRIPTYLINE]
    assert two.genes == ("CYP2C19", "CYP2D6")
    assert all(len(keys) == 2 for _, keys in two.rows)
    older = GENE_DRUGS["26225"].rows
    assert {row.source for row in older.values() if row.indicator == "info"} >= {"CPIC text of 2022, strength not read"}


def test_a_test_before_a_drug_and_the_order_of_severity() -> None:
    assert REQUIRED_TESTS[ABACAVIR] == knowledge.TestBefore(
        ("HLA-B*57:01",), "required", "every first course", "warning")  # fmt: skip
    assert sorted(SEVERITY, key=SEVERITY.__getitem__) == ["silent", "info", "warning", "critical"]
    assert list(SEVERITY.values()) == [0, 1, 2, 3]


# A release of the pharmacogenetic tables becomes the files of the family: an invented one, row by row.
COLUMNS = {
    "recommendations.csv": "cpic_id,guideline_id,drug,rxcui,population,gene_1,key_1,gene_2,key_2,strength,action_id,"
    "indicator",
    "actions.csv": "action_id,drug,class,instruction,start_pct_low,start_pct_high,levels,alternatives",
    "guidelines.csv": "guideline_id,name,url,latest_year",
    "extra_recommendations.csv": "drug,rxcui,gene,key,class,instruction,indicator,strength",
    "fda_associations.csv": "drug,rxcui,gene,subgroup,section,class,limit",
    "test_before.csv": "drug,rxcui,genes,allele,level,when,indicator",
}
RELEASE = {
    "recommendations.csv": """
1,g1,clopidogrel,32968,cardiac,CYP2C19,Poor Metabolizer,,,Strong,avoid-1,critical
2,g1,clopidogrel,32968,stroke,CYP2C19,Poor Metabolizer,,,Moderate,reduce-1,warning
3,,abacavir,190521,any,HLA-B,*57:01 negative,,,Strong,usual-1,silent
4,,abacavir,190521,any,HLA-B,No Result,,,,usual-1,silent
5,g9,carbamazepine,2002,any,HLA-A,*31:01 positive,HLA-B,No Result,Strong,avoid-1,info
6,g9,carbamazepine,2002,any,HLA-A,No Result,HLA-B,*15:02 positive,Strong,avoid-1,warning
7,,allopurinol,519,any,HLA-B,No Result,,,,usual-1,silent
8,,trimethoprim / sulfamethoxazole,10831,any,G6PD,Deficient,,,Strong,reduce-1,info
9,,Codeine,,any,CYP2D6,0.0,,,Strong,usual-1,silent
10,,a drug of nobody,0,any,CYP2D6,0.0,,,Strong,usual-1,info
11,,varicella vaccine (live),,any,CYP2D6,0.0,,,Strong,usual-1,info
""",
    "actions.csv": """
avoid-1,clopidogrel,avoid,do not use,,,yes,prasugrel
reduce-1,clopidogrel,reduce,take less,50,75,,
usual-1,abacavir,standard,usual dose,,,no,
never-1,abacavir,avoid,used by no row,,,no,
""",
    "guidelines.csv": "\ng1,CYP2C19 and Clopidogrel,https://example.org/1,2022\n",
    "extra_recommendations.csv": """
ondansetron,26225,CYP2D6,Intermediate Metabolizer,alternative,granisetron,info,not read
ondansetron,26225,CYP2D6,Poor Metabolizer,outlook,it works,info,not read
""",
    "fda_associations.csv": """
amphetamine,725,CYP2D6,poor metabolizers,1 management,alternative,
amphetamine,725,CYP2D6,intermediate or poor metabolizers,2 safety or response,risk,
aripiprazole,89013,CYP2D6,Ultrarapid metabolizers,1 management,limit,10 mg/day
aripiprazole,89013,CYP2C19,poor metabolizers,1 management,monitor,
carbamazepine,2002,HLA-B,*15:02 allele positive,1 management,avoid,
siponimod,2121085,CYP2C9,intermediate or poor metabolizers,1 management,avoid,
simvastatin,36567,SLCO1B1,intermediate or poor function,1 management,reduce,
warfarin,11289,CYP2C9,poor metabolizers,1 management,reduce,
warfarin,11289,VKORC1,-1639G>A variant carriers,1 management,reduce,
abacavir,190521,DPYD,*57:01 allele positive,1 management,avoid,
pimozide,8331,CYP2D6,poor metabolizers,3 pharmacokinetics,kinetics,
a drug of nobody,,CYP2D6,poor metabolizers,1 management,avoid,
""",
    "test_before.csv": """
abacavir,190521,HLA-B,*57:01,required,first,warning
capecitabine,194000,DPYD;TPMT,,required,every course,info
codeine,2670,CYP2D6,,optional,first,silent
a drug of nobody,0,CYP2D6,,required,first,warning
""",
}
FILES: Mapping[str, str] = {
    "cpic_drugs.csv": """name,rxcui,ingredient,genes,bands,guideline,year,url
carbamazepine,2002,carbamazepine,HLA-A*31:01 and HLA-B*15:02,avoid=info avoid=warning,OLD,2022,URL
clopidogrel,32968,clopidogrel,CYP2C19,avoid=critical avoid=info avoid=warning reduce=info reduce=warning \
indication_unknown,CYP2C19 and Clopidogrel,2022,https://example.org/1
ondansetron,26225,ondansetron,CYP2D6,alternative=info,OLD,2022,URL
sulfamethoxazole,10180,sulfamethoxazole,G6PD,reduce=info,OLD,2022,URL
""",
    "fda_drugs.csv": """name,rxcui,ingredient,genes,bands
amphetamine,725,amphetamine,CYP2D6,alternative=info alternative=warning risk=info
aripiprazole,89013,aripiprazole,CYP2D6 and CYP2C19,limit=info limit=warning monitor=info
simvastatin,36567,simvastatin,SLCO1B1,reduce=info reduce=warning
siponimod,2121085,siponimod,CYP2C9,avoid=info avoid=warning limit=info limit=warning
""",
    "data/recommendations.csv": """rxcui,drug,population,gene_1,key_1,gene_2,key_2,strength,action,indicator,\
guideline,cpic_id,source
32968,clopidogrel,cardiac,CYP2C19,Poor Metabolizer,,,Strong,avoid-1,critical,g1,1,CPIC 2030
32968,clopidogrel,stroke,CYP2C19,Poor Metabolizer,,,Moderate,reduce-1,warning,g1,2,CPIC 2030
190521,abacavir,any,HLA-B*57:01,negative,,,Strong,usual-1,silent,,3,CPIC 2030
190521,abacavir,any,HLA-B*57:01,No Result,,,,usual-1,silent,,4,CPIC 2030
2002,carbamazepine,any,HLA-A*31:01,positive,HLA-B*15:02,No Result,Strong,avoid-1,info,g9,5,CPIC 2030
2002,carbamazepine,any,HLA-A*31:01,No Result,HLA-B*15:02,positive,Strong,avoid-1,warning,g9,6,CPIC 2030
519,allopurinol,any,HLA-B*58:01,No Result,,,,usual-1,silent,,7,CPIC 2030
10180,trimethoprim / sulfamethoxazole,any,G6PD,Deficient,,,Strong,reduce-1,info,,8,CPIC 2030
2670,Codeine,any,CYP2D6,0.0,,,Strong,usual-1,silent,,9,CPIC 2030
26225,ondansetron,any,CYP2D6,0.25,,,not read,pgx-ondansetron-alternative,info,,,CPIC 2030
26225,ondansetron,any,CYP2D6,0.5,,,not read,pgx-ondansetron-alternative,info,,,CPIC 2030
26225,ondansetron,any,CYP2D6,0.75,,,not read,pgx-ondansetron-alternative,info,,,CPIC 2030
26225,ondansetron,any,CYP2D6,1.0,,,not read,pgx-ondansetron-alternative,info,,,CPIC 2030
""",
    "data/actions.csv": """action,class,instruction,start_pct_low,start_pct_high,maint_pct_low,maint_pct_high,\
start_mg_max,day_mg_limit,levels,alternatives
avoid-1,avoid,do not use,,,,,,,yes,prasugrel
pgx-ondansetron-alternative,alternative,granisetron,,,,,,,,
reduce-1,reduce,take less,50,75,,,,,,
usual-1,standard,usual dose,,,,,,,no,
""",
    "data/fda.csv": """rxcui,drug,gene,keys,subgroup,section,class,limit,indicator,source
725,amphetamine,CYP2D6,0.0,poor metabolizers,1 management,alternative,,warning,FDA table 2030
725,amphetamine,CYP2D6,0.25;0.5;0.75;1.0;0.0,intermediate or poor metabolizers,2 safety or response,\
risk,,info,FDA table 2030
89013,aripiprazole,CYP2D6,2.5;2.75;3.0;4.0;≥3.0;≥3.25;≥3.5;≥3.75;≥4.0;≥5.0;≥6.0,Ultrarapid metabolizers,1 management,\
limit,10 mg/day,warning,FDA table 2030
89013,aripiprazole,CYP2C19,Poor Metabolizer,poor metabolizers,1 management,monitor,,info,FDA table 2030
2002,carbamazepine,HLA-B*15:02,positive,*15:02 allele positive,1 management,avoid,,warning,FDA table 2030
2121085,siponimod,CYP2C9,0.0,*3/*3 by the label,1 management,avoid,,warning,LABEL
2121085,siponimod,CYP2C9,0.5;1.0,*1/*3 or *2/*3 by the label,1 management,limit,1 mg/day,warning,LABEL
36567,simvastatin,SLCO1B1,Decreased Function;Poor Function,intermediate or poor function,1 management,\
reduce,,warning,FDA table 2030
11289,warfarin,CYP2C9,0.0;0.5,poor metabolizers,1 management,reduce,,warning,FDA table 2030
""",
    "data/test_before.csv": """rxcui,drug,genes,level,when,indicator,source
190521,abacavir,HLA-B*57:01,required,first,warning,"CPIC 2030, pgxtesting"
194000,capecitabine,DPYD;TPMT,required,every course,info,"CPIC 2030, pgxtesting"
""",
}
SHORT = {
    "OLD": '"text of 2022 in an older public table, strength not read"',
    "URL": "https://cpicpgx.org/guidelines/",
    "LABEL": '"FDA table 2030; Mayzent label, Novartis, 6/2024, sections 2.3 and 4, read 2026-11-22"',
}


@pytest.fixture(name="imported", scope="module")
def imported_release(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[str]]:
    """The files of the invented release, and what was left out."""
    folder = tmp_path_factory.mktemp("release")
    for name, text in RELEASE.items():
        (folder / name).write_text(COLUMNS[name] + text, encoding="utf-8")
    return import_release(folder, "2030")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_family_holds_what_the_release_says(name: str, imported: tuple[dict[str, str], object]) -> None:
    expected = FILES[name]
    for word, text in SHORT.items():
        expected = expected.replace(f",{word}", f",{text}")
    assert imported[0][name] == expected


def test_what_nobody_can_be_told_about_is_named_once(imported: tuple[dict[str, str], list[str]]) -> None:
    files, left_out = imported
    assert files.keys() == FILES.keys()
    assert left_out == [
        "a drug of nobody and CYP2D6 (FDA's table): not in the medication tables",
        "a drug of nobody: not in the medication tables",
        "abacavir and DPYD (FDA's table): *57:01 allele positive has no lookup key",
        "varicella vaccine (live): not in the medication tables",
        "warfarin and VKORC1 (FDA's table): -1639G>A variant carriers has no lookup key",
    ]
