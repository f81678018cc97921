"""Turns a release of the pharmacogenetic tables (CSV files as in shared/data/pgx) into the family's own files.

Run by `python -m maintenance.knowledge genes`. A row of a release is a recommendation of CPIC (drug, population, one or
two lookup keys, what to do); the family's files hold the same facts once, indexed by RxNorm ingredient. What nobody
can be told about, because the medication tables do not have the drug or the gene has no key, is left out and named.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from fhir.mapping.genomics.tables import keys_of_phenotype
from fhir.terminology.medications import INGREDIENT_BY_NAME, INGREDIENTS
from fhir.terminology.package_tables import package_rows

Row: TypeAlias = Mapping[str, str]

_LOWER: Final = {"critical": ("critical", "warning", "info"), "warning": ("warning", "info"), "info": ("info",)}
# What FDA's table says to do, as severe as a recommendation of CPIC of the same kind; its section 3 is kinetics only.
_FDA_INDICATOR: Final = {
    ("1 management", "avoid"): "warning",
    ("1 management", "reduce"): "warning",
    ("1 management", "limit"): "warning",
    ("1 management", "alternative"): "warning",
}
_FDA_SPEAKS: Final = frozenset({"avoid", "reduce", "limit", "alternative", "risk", "monitor", "increase"})
# FDA's table has one line for siponimod; its label (4, 2.3) divides it: *3/*3 is contraindicated, *1/*3 and *2/*3 take
# 1 mg. An activity score of 1 may also be *2/*2, for which the label changes nothing, and *1/*2 is not in it.
_BY_LABEL: Final = {
    "2121085": (
        ("0.0", "*3/*3 by the label", "avoid", ""),
        ("0.5;1.0", "*1/*3 or *2/*3 by the label", "limit", "1 mg/day"),
    )
}
# The labels of these contraindicate the drug by genotype.
_LABELS: Final = {
    "2121085": "; Mayzent label, Novartis, 6/2024, sections 2.3 and 4, read 2026-11-22",
    "10502": "; thioridazine label, Contraindications, read 2026-11-30",
}
# RxNorm has one code for the combination; the ingredient that G6PD deficiency is about is in our tables.
_COMBINATIONS: Final = {"10831": "10180"}
_HLA = re.compile(r"(?P<allele>\*\d\d:\d\d) (?P<sign>positive|negative)")
_PHENOTYPES: Final = ("ultrarapid", "normal", "intermediate", "poor")


def import_release(folder: Path, version: str) -> tuple[dict[str, str], list[str]]:
    """Return the family's files by name for the release in this folder and a sentence about each drug that is left out.

    Raises:
        OSError: a file of the release is missing.
        KeyError: a file lacks a column.
    """
    left_out: list[str] = []
    rows = [_recommendation(row) for row in (*_rows(folder / "recommendations.csv"), *_extra(folder))]
    rows = [row for row in rows if _is_known(row, left_out)]
    actions = {row["action_id"]: row for row in (*_rows(folder / "actions.csv"), *_extra_actions(folder))}
    fda = list(_fda_rows(folder, left_out))
    used = {row["action"] for row in rows}
    cpic = {row["rxcui"] for row in rows}
    files = {
        "cpic_drugs.csv": _written(_cpic_drugs(rows, actions, _rows(folder / "guidelines.csv"))),
        "fda_drugs.csv": _written(_fda_drugs(fda, cpic)),
        "data/recommendations.csv": _written([{**row, "source": f"CPIC {version}"} for row in rows]),
        "data/actions.csv": _written(_action(actions[name], _OURS.get(name)) for name in sorted(used)),
        "data/fda.csv": _written(
            [{**row, "source": f"FDA table {version}{_LABELS.get(row['rxcui'], '')}"} for row in fda]
        ),
        "data/test_before.csv": _written(_tests(folder, version)),
    }
    return files, sorted(set(left_out))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _written(rows: Iterable[Row]) -> str:
    listed = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()


# CPIC


def _recommendation(row: Row) -> dict[str, str]:
    """One recommendation; an HLA allele is a gene of its own with the keys positive and negative."""
    gene_1, key_1 = _target(row["gene_1"], row["key_1"], row["drug"])
    gene_2, key_2 = _target(row["gene_2"], row["key_2"], row["drug"])
    return {
        "rxcui": _rxcui(row["drug"], row["rxcui"]),
        "drug": row["drug"],
        "population": row["population"],
        "gene_1": gene_1,
        "key_1": key_1,
        "gene_2": gene_2,
        "key_2": key_2,
        "strength": row["strength"],
        "action": row["action_id"],
        "indicator": row["indicator"],
        "guideline": row["guideline_id"],
        "cpic_id": row["cpic_id"],
    }


def _target(gene: str, key: str, drug: str) -> tuple[str, str]:
    match = _HLA.fullmatch(key)
    if match is not None:
        return f"{gene}{match['allele']}", match["sign"]
    if gene.startswith("HLA-"):  # "No Result": the allele is the one that the drug's other rows ask about
        return f"{gene}{'*31:01' if gene == 'HLA-A' else _HLA_B_OF.get(drug, '*15:02')}", key
    return gene, key


_HLA_B_OF: Final = {"abacavir": "*57:01", "allopurinol": "*58:01"}


def _rxcui(drug: str, rxcui: str) -> str:
    """Return the key of the ingredient in the project's tables; empty where they do not have it."""
    rxcui = _COMBINATIONS.get(rxcui, rxcui)
    if rxcui in INGREDIENTS:
        return rxcui
    ingredient = INGREDIENT_BY_NAME.get(drug.lower())
    # An ingredient whose RxNorm code was not read has its ATC code as its key: no rule can name it.
    return ingredient.rxcui if ingredient is not None and ingredient.rxcui.isdigit() else ""


def _is_known(row: Row, left_out: list[str]) -> bool:
    if not row["rxcui"]:
        left_out.append(f"{row['drug']}: not in the medication tables")
    return bool(row["rxcui"])


def _extra(folder: Path) -> Iterator[dict[str, str]]:
    """Recommendations of an older table, strength not read; those that only give an outlook are not for orders."""
    for row in _rows(folder / "extra_recommendations.csv"):
        if row["class"] == "outlook":
            continue
        for key in keys_of_phenotype(row["gene"], row["key"]):
            yield {
                "drug": row["drug"], "rxcui": row["rxcui"], "population": "any", "gene_1": row["gene"], "key_1": key,
                "gene_2": "", "key_2": "", "strength": row["strength"], "action_id": _extra_name(row),
                "indicator": row["indicator"], "guideline_id": "", "cpic_id": "",
            }  # fmt: skip


def _extra_name(row: Row) -> str:
    return f"pgx-{row['drug']}-{row['class']}"


def _extra_actions(folder: Path) -> Iterator[dict[str, str]]:
    for row in _rows(folder / "extra_recommendations.csv"):
        yield {
            "action_id": _extra_name(row),
            "drug": row["drug"],
            "class": row["class"],
            "instruction": row["instruction"],
        }


_ACTION_COLUMNS: Final = (
    "start_pct_low", "start_pct_high", "maint_pct_low", "maint_pct_high", "start_mg_max", "day_mg_limit", "levels",
    "alternatives",
)  # fmt: skip


_OURS: Final = {row["action"]: row for row in package_rows("cards.rules.families.genes", "data/actions.csv")}
"""The sentences of the cards, which stay where the release still means the same."""


def _action(row: Row, ours: Row | None) -> dict[str, str]:
    columns = {name: row.get(name) or "" for name in _ACTION_COLUMNS}
    is_same = ours is not None and all(ours[name] == columns[name] for name in ("start_pct_low", "day_mg_limit"))
    instruction = ours["instruction"] if ours is not None and is_same else row["instruction"]
    return {"action": row["action_id"], "class": row["class"], "instruction": instruction, **columns}


def _cpic_drugs(rows: Sequence[Row], actions: Mapping[str, Row], guidelines: Iterable[Row]) -> Iterator[dict[str, str]]:
    by_id = {row["guideline_id"]: row for row in guidelines}
    for rxcui in sorted({row["rxcui"] for row in rows}, key=_name_of):
        rows_of_drug = [row for row in rows if row["rxcui"] == rxcui]
        bands = {
            f"{actions[row['action']]['class']}={lower}"
            for row in rows_of_drug
            if row["indicator"] != "silent"
            for lower in _LOWER[row["indicator"]]
        }
        populations = {row["population"] for row in rows_of_drug}
        if not bands:
            continue
        guideline = by_id.get(rows_of_drug[0]["guideline"], {})
        yield {
            "name": _name_of(rxcui).replace(" ", "-"),
            "rxcui": rxcui,
            "ingredient": _name_of(rxcui),
            "genes": " and ".join(
                dict.fromkeys(gene for row in rows_of_drug for gene in (row["gene_1"], row["gene_2"]) if gene)
            ),
            "bands": " ".join([*sorted(bands), *(["indication_unknown"] if len(populations) > 1 else [])]),
            "guideline": guideline.get("name") or "text of 2022 in an older public table, strength not read",
            "year": guideline.get("latest_year") or "2022",
            "url": guideline.get("url") or "https://cpicpgx.org/guidelines/",
        }


def _name_of(rxcui: str) -> str:
    return INGREDIENTS[rxcui].name


# FDA


def _fda_rows(folder: Path, left_out: list[str]) -> Iterator[dict[str, str]]:
    for row in _rows(folder / "fda_associations.csv"):
        rxcui = _rxcui(row["drug"], row["rxcui"])
        keys = _fda_keys(row["gene"], row["subgroup"])
        association = f"{row['drug']} and {row['gene']} (FDA's table)"
        if not rxcui:
            left_out.append(f"{association}: not in the medication tables")
        elif not keys:
            left_out.append(f"{association}: {row['subgroup']} has no lookup key")
        elif row["class"] in _FDA_SPEAKS:
            gene, names = keys
            as_in_table = ((";".join(names), row["subgroup"], row["class"], row["limit"]),)
            for lookup, subgroup, what_to_do, limit in _BY_LABEL.get(rxcui, as_in_table):
                indicator = _FDA_INDICATOR.get((row["section"], what_to_do), "info")
                if what_to_do == "avoid" and rxcui in _LABELS:
                    indicator = "critical"
                yield {
                    "rxcui": rxcui, "drug": row["drug"], "gene": gene, "keys": lookup, "subgroup": subgroup,
                    "section": row["section"], "class": what_to_do, "limit": limit, "indicator": indicator,
                }  # fmt: skip


def _fda_keys(gene: str, subgroup: str) -> tuple[str, list[str]] | None:
    """Return the lookup keys of a subgroup in words; carriers of single alleles beside a phenotype are not in them."""
    allele = re.match(r"(\*\d\d:\d\d) allele positive", subgroup)
    if allele is not None:
        return (f"{gene}{allele[1]}", ["positive"]) if gene in ("HLA-A", "HLA-B") else None
    words = subgroup.lower()
    kind = "function" if "function" in words else "metabolizer"
    phenotypes = [name for name in _PHENOTYPES if name in words]
    if kind == "function":
        phenotypes = ["decreased" if name == "intermediate" else name for name in phenotypes]
    keys = [key for name in phenotypes for key in keys_of_phenotype(gene, f"{name} {kind}")]
    return (gene, keys) if keys else None


def _fda_drugs(rows: Sequence[Row], cpic: set[str]) -> Iterator[dict[str, str]]:
    """Yield the drugs that FDA's table names and CPIC has no recommendation for."""
    for rxcui in sorted({row["rxcui"] for row in rows} - cpic - {"11289"}, key=_name_of):
        rows_of_drug = [row for row in rows if row["rxcui"] == rxcui]
        bands = {f"{row['class']}={lower}" for row in rows_of_drug for lower in _LOWER[row["indicator"]]}
        yield {
            "name": _name_of(rxcui).replace(" ", "-"),
            "rxcui": rxcui,
            "ingredient": _name_of(rxcui),
            "genes": " and ".join(dict.fromkeys(row["gene"] for row in rows_of_drug)),
            "bands": " ".join(sorted(bands)),
        }


# Tests before the first course


def _tests(folder: Path, version: str) -> Iterator[dict[str, str]]:
    for row in _rows(folder / "test_before.csv"):
        rxcui = _rxcui(row["drug"], row["rxcui"])
        if row["indicator"] == "silent" or not rxcui:
            continue
        yield {
            "rxcui": rxcui,
            "drug": row["drug"],
            "genes": ";".join(gene + row["allele"] for gene in row["genes"].split(";")),
            "level": row["level"],
            "when": row["when"],
            "indicator": row["indicator"],
            "source": f"CPIC {version}, pgxtesting",
        }
