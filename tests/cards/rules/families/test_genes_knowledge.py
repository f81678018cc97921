"""The tables of genes as they are read: rows typed again from data/, actions, lines of FDA's table, tests before."""

import pytest

from cards.rules.families.genes import knowledge
from cards.rules.families.genes.knowledge import (
    FDA_LINES,
    GENE_DRUGS,
    REQUIRED_TESTS,
    SEVERITY,
    Action,
    FdaLine,
    Recommendation,
)

ABACAVIR, AMITRIPTYLINE, CITALOPRAM, CODEINE, SIPONIMOD, AZATHIOPRINE, ATORVASTATIN = (
    "190521", "704", "2556", "2670", "2121085", "1256", "83367")  # fmt: skip


def _actions(rxcui: str) -> dict[str, Action]:
    return {row.action.instruction: row.action for row in GENE_DRUGS[rxcui].rows.values()}


@pytest.mark.parametrize(
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


def test_a_line_of_fdas_table_becomes_a_row_where_cpic_has_none() -> None:
    avoid, limit = FDA_LINES[SIPONIMOD]
    assert avoid == FdaLine("CYP2C9", frozenset({"0.0"}), "avoid", "", "*3/*3 by the label", "warning")
    assert (limit.keys, limit.limit, limit.milligrams_a_day) == (frozenset({"0.5", "1.0"}), "1 mg/day", 1)
    assert avoid.milligrams_a_day is None
    assert GENE_DRUGS[SIPONIMOD].genes == ("CYP2C9",)
    words = "FDA's table: limited dose (*1/*3 or *2/*3 by the label, 1 mg/day)"
    assert GENE_DRUGS[SIPONIMOD].rows == {
        ("any", ("0.0",)): Recommendation("any", ("0.0",), Action("avoid", "FDA's table: do not use (*3/*3 by the "
                                          "label)"), "warning", "FDA's table"),
        ("any", ("0.5",)): Recommendation("any", ("0.5",), Action("limit", words, limit="1"), "warning", "FDA's table"),
        ("any", ("1.0",)): Recommendation("any", ("1.0",), Action("limit", words, limit="1"), "warning", "FDA's table"),
    }  # fmt: skip
    # Of a drug with lines about two genes the rows are those of the first.
    two = [rxcui for rxcui, lines in FDA_LINES.items() if len({line.gene for line in lines}) > 1]
    of_fda = [rxcui for rxcui in two if {row.source for row in GENE_DRUGS[rxcui].rows.values()} == {"FDA's table"}]
    assert of_fda
    for rxcui in of_fda:
        first = FDA_LINES[rxcui][0].gene
        keys = {key for line in FDA_LINES[rxcui] if line.gene == first for key in line.keys}
        assert (GENE_DRUGS[rxcui].genes, {row[1][0] for row in GENE_DRUGS[rxcui].rows}) == ((first,), keys)


def test_a_test_before_a_drug_and_the_order_of_severity() -> None:
    assert REQUIRED_TESTS[ABACAVIR] == knowledge.TestBefore(
        ("HLA-B*57:01",), "required", "every first course", "warning")  # fmt: skip
    assert sorted(SEVERITY, key=SEVERITY.__getitem__) == ["silent", "info", "warning", "critical"]
    assert list(SEVERITY.values()) == [0, 1, 2, 3]
