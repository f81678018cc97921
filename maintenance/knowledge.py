"""`python -m maintenance.knowledge`: imports releases of clinical knowledge, and runs the cases that come with one.

    genes FOLDER --version 2026-08-13                    the tables of CPIC's recommendations
    vaccines FOLDER --version 4.64 --date DAY --source S  the XML files of CDC's supporting data
    cases FILE                                           CDC's cases, one JSON object a line
    snomed FILE_OR_FOLDER                                our codes of SNOMED CT that no free set of it (GPS, IPS) names

What changes in the knowledge files is printed; with --write the files are replaced. Exit code 1 where a release is not
whole or a case differs.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any, Final

from fhir.terminology.medications import table_rows
from maintenance.genes import import_release as import_genes
from maintenance.vaccine_cases import FIELDS, read_cases, run_case, summary
from maintenance.vaccines import import_release as import_vaccines
from models_onnx.artifact.files import write_whole

_CARDS: Final = Path(__file__).resolve().parents[1] / "cards"
GENES: Final = _CARDS / "rules" / "families" / "genes"
VACCINES: Final = _CARDS / "vaccines" / "data"


def main(words: Sequence[str]) -> int:
    """Do what the words say; return the exit code."""
    given = _parser().parse_args(words)
    if given.what == "cases":
        return _run_cases(given.place)
    if given.what == "snomed":
        return _print_codes_in_no_free_set(given.place)
    try:
        if given.what == "genes":
            texts, left_out = import_genes(given.place, given.version)
        else:
            texts, left_out = import_vaccines(given.place, given.version, given.date, given.source), []
    except (OSError, KeyError) as error:
        print(f"{given.place.name} is not a whole release: {error} is missing.", file=sys.stderr)
        return 1
    target = {"genes": GENES, "vaccines": VACCINES}[given.what]
    print_changes(texts, target, given.version, write=given.write)
    for row in left_out:
        print(f"Left out: {row}.", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m maintenance.knowledge")
    parser.add_argument("what", choices=("genes", "vaccines", "cases", "snomed"))
    parser.add_argument("place", type=Path)
    for option in ("version", "date", "source"):
        parser.add_argument(f"--{option}", default="")
    parser.add_argument("--write", action="store_true")
    return parser


def print_changes(texts: Mapping[str, str], target: Path, version: str, *, write: bool) -> None:
    """Print what changes in the files of a folder, and write them where that is wanted."""
    for name, text in texts.items():
        path = target / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in unified_diff(
            before.splitlines(), text.splitlines(), f"{name} now", f"{name} {version}", "", "", 0, ""
        ):
            print(line)
        if write:
            write_whole(path, text)


def _run_cases(file: Path) -> int:
    report = summary([run_case(case) for case in read_cases(file.read_bytes().splitlines())])
    for antigen, counts in report["by_antigen"].items():
        print(f"{antigen}: {counts['right']} of {counts['total']}")
    for item in report["differences"]:
        print(f"{item['id']} {item['antigen']}: {_difference(item)}")
    print(f"{report['right']} of {report['total']} cases are right.")
    return 1 if report["differences"] or not report["total"] else 0


def _difference(item: dict[str, Any]) -> str:
    answered, expected = item["answered"], item["expected"]
    return "; ".join(
        f"{field} {answered[field] or 'none'} (expected {expected[field] or 'none'})"
        for field in FIELDS
        if answered.get(field, "") != expected[field]
    )


_SNOMED_COLUMNS: Final = {
    "condition_codes.csv": ("group", "snomed"),
    "snomed_drugs.csv": ("rxcui", "substance", "allergy"),
    "allergens.csv": ("kind", "code"),
    "allergen_classes.csv": ("allergen_class", "snomed"),
    "vaccine_families.csv": ("family", "snomed"),
}
"""The tables with codes of SNOMED CT: the column that says what a code means, and those with codes."""
_CODE: Final = re.compile(r"(?<!\d)\d{6,18}(?!\d)")


def _print_codes_in_no_free_set(place: Path) -> int:
    """Print a row for each code of a table that no file of a free set names, as CSV, and how many codes there are."""
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
    free = {code for path in files for code in _CODE.findall(path.read_text(encoding="utf-8"))}
    shipped: set[str] = set()
    print("table,meaning,source,code")
    for table, (meaning, *columns) in _SNOMED_COLUMNS.items():
        for row in table_rows(table):
            if "kind" in row and row["kind"] not in ("snomed", "reaction"):
                continue
            codes = [code for column in columns for code in _CODE.findall(row[column])]
            shipped.update(codes)
            for code in dict.fromkeys(codes):
                if code not in free:
                    print(f'{table},{row[meaning]},"{row["source"]}",{code}')
    print(f"{len(shipped - free)} of {len(shipped)} codes are in no free set.", file=sys.stderr)
    return 0 if free else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
