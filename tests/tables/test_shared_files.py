"""Tables hold what the files they were read from hold: row by row, where ../shared/data has the same facts.

A row that differs on purpose stands here with its reason; a row that the file does not have is not compared.
"""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.conftest import ROOT
from tests.each import for_each

Row = Mapping[str, str]
Read = Callable[[Row], object]


def _text(column: str) -> Read:
    return lambda row: row[column]


def _set(column: str) -> Read:
    return lambda row: frozenset(part for part in row[column].split(";") if part)


def _number(column: str) -> Read:
    return lambda row: float(row[column]) if row[column] else None


def _lower(column: str) -> Read:
    return lambda row: row[column].lower()


def _both(*columns: str) -> tuple[tuple[Read, Read], ...]:
    return tuple((_text(column), _text(column)) for column in columns)


class Comparison(NamedTuple):
    """A table, the file with the same facts, the key of both, what is compared, and how many rows at least."""

    table: str
    file: str
    keys: tuple[tuple[Read, Read], ...]
    facts: tuple[tuple[Read, Read], ...]
    at_least: int
    differs: frozenset[str] = frozenset()
    """Rows (first part of the key) that differ on purpose; the reason stands beside the set."""


_GENES: Final = "cards/rules/families/genes/data"
_GENOMICS: Final = "fhir/mapping/genomics/data"
_TABLES: Final = "fhir/terminology/tables"
# The file has no RxNorm code of these, and of co-trimoxazole that of the combination: ours is its sulfamethoxazole's.
_CODES_OF_OUR_OWN: Final = frozenset({"nateglinide", "mavacamten"})
_CO_TRIMOXAZOLE: Final = frozenset({"8481227", "8481228", "8481229", "8481230", "8481231"})
# The file lacks the progestogen of Apri and the elvitegravir of Genvoya.
_WHOLE_COMBINATIONS: Final = frozenset({"apri", "genvoya"})


def _gene_key(side: str) -> Read:
    """A key of the file without the allele, which our gene name carries: HLA-B and *57:01 are HLA-B*57:01."""
    return lambda row: f"{row[f'gene_{side}']}{row[f'key_{side}']}".replace(" ", "")


COMPARISONS: Final = (
    Comparison(
        f"{_GENOMICS}/alleles.csv", "pgx/alleles.csv", _both("gene", "allele"), _both("function", "activity_value"), 725
    ),
    Comparison(
        f"{_GENOMICS}/allele_pairs.csv",
        "pgx/allele_pair_to_phenotype.csv",
        _both("gene", "allele_1", "allele_2"),
        (*_both("by", "phenotype"), (_text("key"), _text("lookup_key"))),
        115,
    ),
    Comparison(
        f"{_GENOMICS}/activity_scores.csv",
        "pgx/activity_score_to_phenotype.csv",
        ((_text("gene"), _text("gene")), (_text("score"), _text("activity_score"))),
        _both("phenotype"),
        35,
    ),
    Comparison(f"{_GENOMICS}/genes.csv", "pgx/genes.csv", _both("gene"), _both("hgnc", "lookup", "keys"), 22),
    Comparison(f"{_GENOMICS}/codes.csv", "pgx/fhir_codes.csv", _both("code"), _both("display"), 33),
    Comparison(
        f"{_GENES}/actions.csv",
        "pgx/actions.csv",
        ((_text("action"), _text("action_id")),),
        _both(
            *("class", "instruction", "start_pct_low", "start_pct_high", "maint_pct_low", "maint_pct_high"),
            *("start_mg_max", "day_mg_limit", "levels", "alternatives"),
        ),
        382,
    ),
    Comparison(
        f"{_GENES}/recommendations.csv",
        "pgx/recommendations.csv",
        (*_both("cpic_id"), (_gene_key("1"), _gene_key("1")), (_gene_key("2"), _gene_key("2"))),
        (
            *_both("rxcui", "drug", "population", "strength", "indicator"),
            (_text("action"), _text("action_id")),
            (_text("guideline"), _text("guideline_id")),
        ),
        2066,
        _CO_TRIMOXAZOLE,
    ),
    Comparison(
        f"{_GENES}/fda.csv",
        "pgx/fda_associations.csv",
        _both("drug", "subgroup"),
        _both("section", "class", "limit", "rxcui"),
        62,
        _CODES_OF_OUR_OWN,
    ),
    Comparison(
        f"{_GENES}/test_before.csv", "pgx/test_before.csv", _both("drug"), _both("rxcui", "level", "indicator"), 17
    ),
    Comparison(
        "cards/rules/families/dose/plausibility.csv",
        "doses/plausibility.csv",
        _both("rxcui"),
        (
            *_both("drug"),
            (_number("recommended_mg_day"), _number("mg_per_day_60kg")),
            (lambda row: row["cross_checked"] == "yes", lambda row: row["quality"] == "ok"),
        ),
        257,
    ),
    Comparison(
        f"{_TABLES}/charlson_lace.csv",
        "codes/charlson_lace.csv",
        _both("item"),
        ((_text("points"), _text("lace_points")),),
        14,
    ),
    Comparison(
        f"{_TABLES}/smoking_status.csv",
        "codes/smoking_status.csv",
        _both("system", "code"),
        (*_both("meaning"), (_text("status"), _text("feature_value"))),
        16,
    ),
    Comparison(
        f"{_TABLES}/orderables.csv",
        "medications/orderables.csv",
        _both("rxcui"),
        (*_both("name"), (_text("ingredients"), _text("ingredient_rxcuis"))),
        72,
        frozenset({"197889"}),  # lithium carbonate is read as lithium
    ),
    Comparison(
        f"{_TABLES}/ingredients.csv",
        "medications/ingredients.csv",
        _both("rxcui"),
        # enzyme_inducer is a class of the table of pairs; the file does not have it.
        (
            *_both("name", "atc"),
            (lambda row: frozenset(row["classes"].split(";")) - {"", "enzyme_inducer"}, _set("classes")),
        ),
        570,
        frozenset({"1191"}),  # aspirin has the ATC codes of carbasalate calcium, which is read as aspirin
    ),
    Comparison(
        f"{_TABLES}/products.csv",
        "medications/products.csv",
        ((lambda row: row["code"], lambda row: row["code"]), (_set("ingredients"), _set("ingredient_rxcuis"))),
        (*_both("dose_form", "systemic"),),
        1430,
    ),
    Comparison(
        f"{_TABLES}/retest_intervals.csv",
        "orders/lab_intervals.csv",
        ((_text("key"), _text("test")),),
        (*_both("loinc"), (_number("days"), _number("use_days"))),
        26,
    ),
    Comparison(
        f"{_TABLES}/studies.csv",
        "orders/imaging_codes.csv",
        _both("loinc"),
        (
            (
                _text("modality"),
                lambda row: {"MRA": "MR", "CTA": "CT", "PET+CT": "CT"}.get(row["modality"], row["modality"]),
            ),
            *_both("region"),
            (lambda row: row["screening"] or "no", _text("screening")),
        ),
        2366,
    ),
    Comparison(f"{_TABLES}/rxnorm.csv", "drugnames/rxnorm_products.csv", _both("rxcui"), _both("name"), 5548),
    Comparison(
        f"{_TABLES}/further_ingredients.csv",
        "drugnames/rxnorm_products.csv",
        _both("rxcui"),
        ((_lower("name"), lambda row: row["name"].lower().removesuffix(" (usp)")),),
        1330,
        frozenset({"99"}),
    ),
    Comparison(
        f"{_TABLES}/aliases.csv",
        "medications/aliases.csv",
        ((_text("text"), _text("text_lower_case")),),
        ((_set("ingredients"), _set("ingredients")),),
        170,
        # The file reads every insulin of no known kind, and isophane, as the regular one, tenofovir without its form.
        _WHOLE_COMBINATIONS
        | {
            "humulin",
            "insulin",
            "insulin human, isophane",
            "insulin pump",
            "novolin 70-30",
            "nph insulin human recomb",
            "truvada",
        },
    ),
    Comparison(f"{_TABLES}/rxnorm_products.csv", "drugnames/rxnorm_products.csv", _both("rxcui"), _both("name"), 25000),
    Comparison(f"{_TABLES}/unit_spellings.csv", "codes/unit_aliases.csv", _both("text"), _both("ucum"), 23),
)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_a_table_holds_what_its_file_holds(data_folder: Path) -> None:
    def compare(comparison: Comparison) -> None:
        theirs: dict[tuple[object, ...], list[tuple[object, ...]]] = {}
        for row in _rows(data_folder / comparison.file):
            key = tuple(read(row) for _, read in comparison.keys)
            theirs.setdefault(key, []).append(tuple(read(row) for _, read in comparison.facts))
        compared, faults = 0, []
        for row in _rows(ROOT / comparison.table):
            key = tuple(read(row) for read, _ in comparison.keys)
            if key not in theirs or key[0] in comparison.differs:
                continue
            compared += 1
            facts = tuple(read(row) for read, _ in comparison.facts)
            if facts not in theirs[key]:
                faults.append(f"{key}: {facts}, but {comparison.file} has {theirs[key][0]}")
        assert not faults, "\n".join(faults[:20])
        assert compared >= comparison.at_least, f"only {compared} rows were found in {comparison.file}"

    for_each(((comparison.table, (comparison,)) for comparison in COMPARISONS), compare)
