"""Genes in sentences: the headline, the details and the facts of a result, what makes it doubtful, tests before a drug.

What is recommended is checked row by row in test_genes.py; here is how a card says it.
"""

from typing import Any

from cards.extension import Fact
from cards.rules.families.genes.family import FAMILY
from cards.rules.patient.context import RuleContext
from tests.cards.rules.contexts import AS_OF, answer, context_of, told
from tests.cards.rules.genetic import genetic_results
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import procedure

Json = dict[str, Any]
CODEINE: Json = {"drug": "codeine sulfate 30 MG Oral Tablet", "dose": "1 tablet", "times": 4}
ABACAVIR: Json = {"drug": "abacavir 300 MG Oral Tablet", "dose": "1 tablet", "times": 2}
AMITRIPTYLINE: Json = {"drug": "amitriptyline 25 MG Oral Tablet", "dose": "3 tablet", "times": 1}
SIPONIMOD: Json = {"drug": "siponimod 2 MG Oral Tablet", "dose": "1 tablet", "times": 1}
WARFARIN: Json = {"drug": "warfarin 5 MG Oral Tablet", "dose": "1 tablet", "times": 1}
AZATHIOPRINE: Json = {"drug": "azathioprine 50 MG Oral Tablet", "dose": "3 tablet", "times": 1}
POOR = ["words", "CYP2D6", "poor metabolizer"]
NORMAL = ["words", "CYP2D6", "normal metabolizer", {"id": "other"}]
DAY = "2026-05-04"  # of all results: 200 days before the call


def _of(draft: Json, *results: Any, more: tuple[Json, ...] = (), **patient: Any) -> RuleContext:
    return context_of(draft, more=[*genetic_results(list(results), AS_OF), *more], **patient)


def _words(context: RuleContext) -> tuple[str | None, str | None]:
    return FAMILY.placeholders["gene_summary"](context), FAMILY.placeholders["gene_detail"](context)


TRANSPLANT: Json = builders.problem("Liver transplant", status=None, patient="case", id="t")
NO_CODEINE = "o not use: little effect; if an opioid is needed, another one (not tramadol)."
INHIBITS = "Paroxetine inhibits CYP2D6 and can make a poor metabolizer of any other; not in the tables."
PAROXETINE: Json = {"active": ["paroxetine 20 MG Oral Tablet"]}


@for_rows(
    ("context", "summary", "detail"),
    [
        (_of(CODEINE), None, None),
        (_of(CODEINE, POOR),
         "CYP2D6 poor metabolizer (activity score 0): do not use codeine: little effect; "
         "if an opioid is needed, another one (not tramadol).", f"D{NO_CODEINE} CPIC: Strong."),
        # An inhibitor makes a poor metabolizer of any other; of one it makes no other.
        (_of(CODEINE, POOR, **PAROXETINE),
         "CYP2D6 poor metabolizer (activity score 0): do not use codeine: little effect; "
         "if an opioid is needed, another one (not tramadol).", f"D{NO_CODEINE} CPIC: Strong."),
        (_of(CODEINE, NORMAL, **PAROXETINE), "CYP2D6 normal metabolizer: codeine; usual dose.", INHIBITS),
        (_of(AMITRIPTYLINE, ["words", "CYP2C19", "normal metabolizer"], **PAROXETINE),
         "CYP2C19 normal metabolizer: amitriptyline; usual dose.",
         "No phenotype follows from such a result here; the report of the laboratory may state one."),
        (_of(AZATHIOPRINE, ["words", "TPMT", "normal metabolizer"], ["words", "NUDT15", "Zaubergen", {"id": "other"}]),
         "NUDT15 “Zaubergen” cannot be translated: no advice about azathioprine from it.",
         "No phenotype follows from such a result here; the report of the laboratory may state one."),
        (_of(AZATHIOPRINE, ["words", "NUDT15", "normal metabolizer"], ["words", "TPMT", "Zaubergen", {"id": "other"}]),
         "TPMT “Zaubergen” cannot be translated: no advice about azathioprine from it.",
         "No phenotype follows from such a result here; the report of the laboratory may state one."),
        (_of(CODEINE, ["words", "CYP2D6", "Zaubergen"]),
         "CYP2D6 “Zaubergen” cannot be translated: no advice about codeine from it.",
         "No phenotype follows from such a result here; the report of the laboratory may state one."),
        (_of(CODEINE, POOR, NORMAL),
         "CYP2D6 results differ (poor metabolizer or normal metabolizer): avoid codeine.",
         f"D{NO_CODEINE} CPIC: Strong. Results for CYP2D6 differ: “poor metabolizer”, “normal metabolizer”. "
         "Ask the laboratory."),
        # Where one result would be critical and the other a warning, the worse one counts, and no longer as critical.
        (_of(CODEINE, ["words", "CYP2D6", "ultrarapid metabolizer"], [*POOR[:3], {"id": "other"}]),
         "CYP2D6 results differ (ultrarapid metabolizer or poor metabolizer): avoid codeine.",
         "Do not use: toxicity; if an opioid is needed, another one (not tramadol). CPIC: Strong. "
         "Results for CYP2D6 differ: “ultrarapid metabolizer”, “poor metabolizer”. Ask the laboratory."),
        (_of(CODEINE, ["genotype", "CYP2D6", "*1/*4 or *4/*4"]),
         "CYP2D6 intermediate metabolizer or poor metabolizer: avoid codeine.",
         f"D{NO_CODEINE} CPIC: Strong. CYP2D6: the report leaves open whether Intermediate Metabolizer or Poor "
         "Metabolizer."),
        (_of({"drug": "clopidogrel 75 MG Oral Tablet"}, ["words", "CYP2C19", "intermediate metabolizer"]),
         "CYP2C19 intermediate metabolizer: advice about clopidogrel depends on the indication, which is not coded.",
         "Another P2Y12 inhibitor (prasugrel or ticagrelor, if not contraindicated). CPIC: Strong (coronary: acute "
         "coronary syndrome or PCI)."),
        (_of(CODEINE, [*POOR, {"status": "preliminary"}]),
         "CYP2D6 poor metabolizer (activity score 0): the result is preliminary; it would matter to codeine.",
         f"D{NO_CODEINE} CPIC: Strong. The result is preliminary."),
        (_of(CODEINE, POOR, more=(TRANSPLANT,)),
         "CYP2D6 poor metabolizer (activity score 0) is from before a transplant and does not hold for codeine: "
         "ask the laboratory.",
         f"D{NO_CODEINE} CPIC: Strong. After a transplant of liver or stem cells a germline result does not hold; "
         "ask for a new interpretation."),
        (_of(ABACAVIR, ["words", "HLA-B*57:01", "positive"]),
         "HLA-B*57:01 positive: do not use abacavir; other antiretroviral.",
         "Do not use; other antiretroviral. CPIC: Strong."),
        # The headline names what is not simply normal.
        (_of(AMITRIPTYLINE, POOR, ["words", "CYP2C19", "normal metabolizer"]),
         "CYP2D6 poor metabolizer (activity score 0): avoid amitriptyline if possible.",
         "Avoid (depression doses); if kept, half the starting dose by levels. CPIC: Strong. "
         "Drug levels guide the dose."),
        # What is implied about one gene says nothing about the drug's other gene.
        (_of({"drug": "phenytoin 100 MG Oral Capsule"}, ["implication", "phenytoin", "poor metabolizer"]),
         "CYP2C9 poor metabolizer: lower dose of phenytoin; usual first or loading dose, then about 50 % less.",
         "Usual first or loading dose, then about 50 % less. CPIC: Strong (never had the drug). "
         "Drug levels guide the dose."),
        (_of(AMITRIPTYLINE, POOR, ["words", "CYP2C19", "poor metabolizer"]),
         "CYP2C19 poor metabolizer and CYP2D6 poor metabolizer (activity score 0): avoid amitriptyline if possible.",
         "Avoid (depression doses); if kept, by levels. CPIC: Optional. Drug levels guide the dose."),
        (_of({"drug": "clopidogrel 75 MG Oral Tablet"}, ["words", "CYP2C19", "poor metabolizer"]),
         "CYP2C19 poor metabolizer: avoid clopidogrel; another P2Y12 inhibitor (prasugrel or ticagrelor, "
         "if not contraindicated).",
         "Another P2Y12 inhibitor (prasugrel or ticagrelor, if not contraindicated). "
         "CPIC: Moderate (cardiovascular, neither ACS nor PCI)."),
        # FDA's table says so itself, and a headline leaves it to the detail.
        (_of(SIPONIMOD, ["genotype", "CYP2C9", "*3/*3"]),
         "CYP2C9 poor metabolizer (activity score 0): avoid siponimod.",
         "FDA's table: do not use (*3/*3 by the label)."),
        # A result of the laboratory is named as it came, not as an entry of the chart.
        (_of({"drug": "succinylcholine injection"}, ["words", "RYR1", "malignant hyperthermia susceptibility"]),
         "RYR1 malignant hyperthermia susceptibility: avoid succinylcholine.",
         "Relatively contraindicated (malignant hyperthermia): use non-trigger anaesthesia. CPIC: Strong."),
        # As long as a headline may be: 136 characters, and a transplant's sentence of that length.
        (_of({"drug": "tacrolimus 1 MG Oral Capsule"}, ["words", "CYP3A5", "intermediate metabolizer"]),
         "CYP3A5 intermediate metabolizer: tacrolimus may need a higher dose; 1.5 to 2 times the starting dose, "
         "not over 0.3 mg/kg/day, by levels.",
         "1.5 to 2 times the starting dose, not over 0.3 mg/kg/day, by levels. CPIC: Strong. "
         "Drug levels guide the dose."),
        (_of({"drug": "atomoxetine 40 MG Oral Capsule"}, ["words", "CYP2D6", "activity score 0.25"],
             more=(TRANSPLANT,)),
         "CYP2D6 intermediate metabolizer (activity score 0.25) is from before a transplant and does not hold for "
         "atomoxetine: ask the laboratory.",
         "Start 40 mg, to 80 mg only after 2 weeks without effect. CPIC: Moderate (adults). "
         "Drug levels guide the dose. "
         "After a transplant of liver or stem cells a germline result does not hold; ask for a new interpretation."),
        # A sentence that is too long for a headline goes to the detail.
        (_of({"drug": "escitalopram 20 MG Oral Tablet", "dose": "1 tablet", "times": 1},
             ["words", "CYP2C19", "poor metabolizer"]),
         "CYP2C19 poor metabolizer: another drug or a lower dose of escitalopram.",
         "Consider another antidepressant; if kept, lower start, slower steps, half of the usual maintenance dose. "
         "CPIC: Strong."),
    ],
)  # fmt: skip
def test_what_a_card_says_of_a_result(context: RuleContext, summary: str | None, detail: str | None) -> None:
    assert _words(context) == (summary, detail)


@for_rows(
    ("result", "text", "value"),
    [
        (POOR, "CYP2D6 poor metabolizer (activity score 0)", "0.0"),
        (["genotype", "CYP2D6", "*1/*4"], "CYP2D6 intermediate metabolizer (activity score 1), “*1/*4”", "1.0"),
        (["words", "CYP2D6", "Zaubergen"], "CYP2D6 “Zaubergen”", None),
        # The four scores that are normal are too many to name.
        (["words", "CYP2D6", "normal metabolizer"], "CYP2D6 normal metabolizer", "Normal Metabolizer"),
        (
            ["words", "CYP2D6", "intermediate metabolizer"],
            "CYP2D6 intermediate metabolizer",
            "Intermediate Metabolizer",
        ),
        (["words", "CYP2D6", "activity score 0.25"], "CYP2D6 intermediate metabolizer (activity score 0.25)", "0.25"),
    ],
)
def test_a_result_is_told_with_its_day_and_source(result: Any, text: str, value: str | None) -> None:
    spec: Json = {"gene_advice": {"says": "avoid", "indicator": "warning"}}
    (fact,) = told(spec, _of(CODEINE, result), FAMILY)
    assert fact == Fact("gene", text, value, effective=DAY, source="Observation/gene-0")
    assert told(spec, _of(CODEINE), FAMILY) == []


@for_rows(
    ("context", "says", "indicator", "truth"),
    [
        (_of(CODEINE, POOR), "avoid", "warning", True),
        (_of(CODEINE, POOR), "avoid", "critical", False),
        (_of(CODEINE, POOR), "reduce", "warning", False),
        (_of(CODEINE, ["words", "CYP2D6", "ultrarapid metabolizer"]), "avoid", "critical", True),
        (_of(CODEINE, ["words", "CYP2D6", "ultrarapid metabolizer"], [*POOR[:3], {"id": "other"}]), "avoid", "warning",
         True),
        # One report that leaves open whether there is anything to do at all is information.
        (_of(CODEINE, ["genotype", "CYP2D6", "*1/*4 or *4/*4"]), "avoid", "info", True),
        (_of(CODEINE, POOR, NORMAL), "avoid", "warning", True),
        (_of(CODEINE), "avoid", "warning", False),
        (_of(CODEINE, not_sent=["genomics"]), "avoid", "warning", None),
        (_of(CODEINE, POOR, not_sent=["genomics"]), "avoid", "warning", True),
    ],
)  # fmt: skip
def test_what_the_genes_say(context: RuleContext, says: str, indicator: str, truth: bool | None) -> None:
    assert answer({"gene_advice": {"says": says, "indicator": indicator}}, context, FAMILY) is truth


C9_POOR, C9_MIXED, C9_NORMAL = (["genotype", "CYP2C9", words] for words in ("*3/*3", "*1/*3", "*1/*1"))
AG, GG = (["words", "VKORC1", words] for words in ("-1639 AG", "-1639 GG"))


@for_rows(
    ("results", "poor", "sensitive", "words"),
    [
        ([], False, False, None),
        ([["words", "CYP2C9", "poor metabolizer"]], True, False, "CYP2C9 poor metabolizer"),
        ([C9_POOR], True, False, "CYP2C9 poor metabolizer (activity score 0)"),
        ([C9_POOR, GG], True, False, "CYP2C9 poor metabolizer (activity score 0) and VKORC1 -1639 GG"),
        ([C9_MIXED, GG], False, True, "CYP2C9 intermediate metabolizer (activity score 1) and VKORC1 -1639 GG"),
        ([C9_NORMAL, AG], False, True, "CYP2C9 normal metabolizer (activity score 2) and VKORC1 -1639 AG"),
        ([C9_NORMAL, GG], False, False, "CYP2C9 normal metabolizer (activity score 2) and VKORC1 -1639 GG"),
        # One gene alone gives no other dose.
        ([C9_MIXED], False, False, "CYP2C9 intermediate metabolizer (activity score 1)"),
        ([AG], False, False, "VKORC1 -1639 AG"),
        ([[*C9_POOR, {"status": "preliminary"}]], False, False, "CYP2C9 poor metabolizer (activity score 0)"),
        ([["words", "CYP2C9", "Zaubergen"]], False, False, None),
    ],
)
def test_warfarin_by_the_flow_chart(results: list[Any], poor: bool, sensitive: bool, words: str | None) -> None:
    context = _of(WARFARIN, *results)
    assert answer({"warfarin_genes": "poor"}, context, FAMILY) is poor
    assert answer({"warfarin_genes": "sensitive"}, context, FAMILY) is sensitive
    assert FAMILY.placeholders["warfarin_genes"](context) == words
    facts = told({"warfarin_genes": "poor"}, context, FAMILY)
    assert [fact.text for fact in facts] == (words.split(" and ") if words else [])
    assert {fact.effective for fact in facts} <= {DAY}


def test_warfarin_without_genetic_results() -> None:
    assert answer({"warfarin_genes": "poor"}, _of(WARFARIN, not_sent=["genomics"]), FAMILY) is None
    assert answer({"warfarin_genes": "poor"}, _of(WARFARIN, C9_POOR, not_sent=["genomics"]), FAMILY) is True
    missing = ("genetic-results-missing", "the genetic results did not come with this call.")
    assert FAMILY.gaps["genes"](_of(WARFARIN, not_sent=["genomics"])) == missing
    assert FAMILY.gaps["genes"](_of(WARFARIN)) is None


@for_rows(
    ("draft", "genes", "when"),
    [
        (ABACAVIR, "HLA-B*57:01", "every first course"),
        (AZATHIOPRINE, "TPMT or NUDT15", "first course"),
        ({"drug": "carbamazepine 200 MG Oral Tablet"}, "HLA-B*15:02",
         "the first course; the label asks for it by ancestry, which is not looked at here"),
        (CODEINE, None, None),
    ],
)  # fmt: skip
def test_the_test_before_a_drug(draft: Json, genes: str | None, when: str | None) -> None:
    context = _of(draft)
    assert (FAMILY.placeholders["test_genes"](context), FAMILY.placeholders["test_when"](context)) == (genes, when)


@for_rows(
    ("draft", "results", "patient", "truth"),
    [
        (ABACAVIR, [], {}, True),
        (ABACAVIR, [["words", "HLA-B*57:01", "negative"]], {}, False),
        (ABACAVIR, [POOR], {}, True),
        (AZATHIOPRINE, [["words", "NUDT15", "normal metabolizer"]], {}, False),
        (CODEINE, [], {}, False),
        (ABACAVIR, [], {"not_sent": ["genomics"]}, True),
        (ABACAVIR, [], {"not_sent": ["Observation"]}, True),
        (ABACAVIR, [], {"not_sent": ["genomics", "Observation"]}, None),
    ],
)
def test_what_was_not_tested(draft: Json, results: list[Any], patient: Json, truth: bool | None) -> None:
    assert answer({"gene_untested": True}, _of(draft, *results, **patient), FAMILY) is truth


LOOKED = "No recommendation here changes this order."


@for_rows(
    ("rule", "context", "reason", "text"),
    [
        ("pgx-test-before", _of(AZATHIOPRINE), "within-limits",
         "no result of TPMT or NUDT15 is among those that came; the test is asked for only before a first course or "
         "above a dose."),
        ("pgx-test-before", _of(ABACAVIR, ["words", "HLA-B*57:01", "negative"]), "within-limits",
         f"a result is on record: HLA-B*57:01 negative ({DAY})."),
        ("pgx-codeine", _of(CODEINE), "gene-result-missing",
         "no result of CYP2D6 is among those that came: nothing was judged."),
        ("pgx-codeine", _of(CODEINE, [*NORMAL[:3], {"effectiveDateTime": None}]), "within-limits",
         f"looked: CYP2D6 normal metabolizer (without a date). {LOOKED}"),
        ("pgx-warfarin", _of(WARFARIN, C9_NORMAL), "within-limits",
         f"looked: CYP2C9 normal metabolizer (activity score 2) ({DAY}); no result of VKORC1 came. {LOOKED}"),
        ("pgx-warfarin", _of(WARFARIN, C9_NORMAL, GG), "within-limits",
         f"looked: CYP2C9 normal metabolizer (activity score 2) ({DAY}); VKORC1 -1639 GG ({DAY}). {LOOKED}"),
    ],
)  # fmt: skip
def test_what_is_said_where_nothing_is_found(rule: str, context: RuleContext, reason: str, text: str) -> None:
    assert FAMILY.nothing_found is not None
    assert FAMILY.nothing_found(rule, context) == (reason, text)


def test_no_dose_is_offered_without_advice_of_a_row() -> None:
    lower = FAMILY.changes["lower_dose"]
    assert [lower(_of(CODEINE, *results)) for results in ([], [["words", "CYP2D6", "Zaubergen"]])] == [None, None]


@for_rows(
    ("problem", "holds"),
    [
        ({"text": "Liver transplant"}, False),
        ({"text": "x", "coding": [{"code": "Z94.4"}]}, False),
        (None, True),
        ({"text": "x", "coding": [{"code": "z9484"}]}, False),
        ({"coding": [{"display": "Liver transplant"}]}, False),
        ({"text": "Kidney transplant", "coding": [{"code": "Z94.0"}]}, True),
        ({"text": "Liver transplant candidate", "coding": [{"code": "Z94.4"}]}, True),
        ({"text": "Autologous stem cell transplant"}, True),
        ({"text": "No liver transplant"}, True),
        ({"text": "Father had a bone marrow transplant"}, True),
    ],
)
def test_a_transplant_of_liver_or_blood_cells_ends_a_result(problem: Json | None, holds: bool) -> None:
    listed = {**TRANSPLANT, "code": problem}
    done = {**procedure(patient="case", id="t"), "code": problem}
    spec: Json = {"gene_advice": {"says": "avoid", "indicator": "warning"}}
    for more, expected in ((listed, holds), (done, holds), ({**done, "status": "stopped"}, True)):
        assert answer(spec, _of(CODEINE, POOR, more=(more,)), FAMILY) is expected


CARBAMAZEPINE: Json = {"drug": "carbamazepine 200 MG Oral Tablet", "dose": "1 tablet", "times": 2}
HLA_POSITIVE, INTERMEDIATE = ["words", "HLA-B*15:02", "positive"], ["words", "TPMT", "intermediate metabolizer"]
BOTH_LISTS = ["MedicationRequest", "MedicationStatement"]


@for_rows(
    ("context", "says", "indicator"),
    [
        # A first course; whether it is one is not known without a list, and one list is enough.
        (_of(CARBAMAZEPINE, HLA_POSITIVE), "avoid", "critical"),
        (_of(CARBAMAZEPINE, HLA_POSITIVE, not_sent=BOTH_LISTS), "avoid", "warning"),
        (_of(CARBAMAZEPINE, HLA_POSITIVE, not_sent=BOTH_LISTS[:1]), "avoid", "critical"),
        (_of(CARBAMAZEPINE, HLA_POSITIVE, not_sent=BOTH_LISTS[1:]), "avoid", "critical"),
        # After more than three months without a gap of half a year it may go on.
        (_of(CARBAMAZEPINE, HLA_POSITIVE, active=[{**CARBAMAZEPINE, "days_ago": 91}]), "caution", "info"),
        (_of(CARBAMAZEPINE, HLA_POSITIVE, active=[{**CARBAMAZEPINE, "days_ago": 90}]), "avoid", "critical"),
        # The lists matter for a first course only.
        (_of(ABACAVIR, ["words", "HLA-B*57:01", "positive"], not_sent=BOTH_LISTS), "avoid", "critical"),
        (_of(CARBAMAZEPINE, ["words", "HLA-B*15:02", "negative"]), "standard", "silent"),
        # 150 mg of azathioprine are 2 mg/kg at 75 kg: the start is to be reduced from there on.
        (_of(AZATHIOPRINE, INTERMEDIATE, labs=[["body_weight", 75, 3]]), "reduce", "warning"),
        (_of(AZATHIOPRINE, INTERMEDIATE, labs=[["body_weight", 76, 3]]), "standard", "silent"),
        (_of(AZATHIOPRINE, INTERMEDIATE), "reduce", "warning"),
        # Rapid metabolizers get the usual dose whatever it is for.
        (_of({"drug": "clopidogrel 75 MG Oral Tablet"}, ["words", "CYP2C19", "rapid metabolizer"]), "avoid", "silent"),
        # A result that cannot be translated beside one that can.
        (_of(AMITRIPTYLINE, POOR, ["words", "CYP2C19", "Zaubergen"]), "avoid_unless", "warning"),
        (_of(AZATHIOPRINE, ["words", "TPMT", "Zaubergen"]), "unknown_allele", "info"),
        (_of(CODEINE, [*POOR, {"status": "preliminary"}]), "preliminary", "info"),
        (_of(ABACAVIR, ["words", "HLA-B*57:01", "positive"], more=(TRANSPLANT,)), "transplant", "info"),
    ],
)
def test_for_whom_and_how_severe_the_advice_is(context: RuleContext, says: str, indicator: str) -> None:
    conditions = {
        level: {"gene_advice": {"says": says, "indicator": level}} for level in ("info", "warning", "critical")
    }
    given = [level for level, condition in conditions.items() if answer(condition, context, FAMILY)]
    assert given == ([] if indicator == "silent" else [indicator])


def test_a_result_that_cannot_be_translated_is_named_beside_the_advice() -> None:
    detail = FAMILY.placeholders["gene_detail"](_of(AMITRIPTYLINE, POOR, ["words", "CYP2C19", "Zaubergen"])) or ""
    assert detail.endswith("Drug levels guide the dose. CYP2C19 “Zaubergen” cannot be translated.")
