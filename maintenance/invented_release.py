"""Writes an invented release of real size in the forms of its publishers, and measures what an import of it costs.

    python -m maintenance.invented_release FOLDER [CONCEPTS]

Without a number 500,000 concepts of SNOMED CT with 1.5 million descriptions in three languages are written as a
snapshot in RF2, 100,000 names of RxNorm with their relations, and 100,000 codes of LOINC. Identifiers have their check
digits; below codes of our tables stand invented ones, which are read as the code above. Nothing of it is anybody's.
Lookups are timed by the processor time of the process.
"""

import json
import random
import resource
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final

from fhir.terminology.importing import snomed_roots

CONCEPTS: Final = 500_000
_TABLES: Final = 100_000
_IS_A, _ROOT = "116680003", "138875005"
_PERMUTED: Final = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_HEAD: Final = "id effectiveTime active moduleId"
_RELATION_COLUMNS: Final = "sourceId destinationId relationshipGroup typeId characteristicTypeId modifierId"
_DAY: Final = "20260701"
_LANGUAGES: Final = ("en", "sv", "de")
_LOOKUPS: Final = 20_000
_BELOW_OURS: Final = 0.3
_SECOND_PARENT: Final = 0.02
"""Shares of the invented concepts, chosen so that groups meet in some thousand combinations and not in all."""


def _dihedral(left: int, right: int) -> int:
    """Return the product of two symmetries of a pentagon."""
    if left < 5:
        return (left + right) % 5 if right < 5 else 5 + (left + right - 5) % 5
    return 5 + (left - 5 - right) % 5 if right < 5 else (left - right) % 5


_PRODUCT: Final = [[_dihedral(left, right) for right in range(10)] for left in range(10)]


def _positions() -> list[list[int]]:
    rows = [list(range(10)), list(_PERMUTED)]
    while len(rows) < 8:
        rows.append([rows[-1][digit] for digit in _PERMUTED])
    return rows


_POSITIONS: Final = _positions()
_INVERSE: Final = (0, 4, 3, 2, 1, 5, 6, 7, 8, 9)


def identifier(item: int, partition: str = "00") -> str:
    """Return an identifier of SNOMED CT with its check digit after Verhoeff.

    >>> identifier(8411400, "")[-1], identifier(73211, "00")
    ('7', '73211009')
    """
    body, check = f"{item}{partition}", 0
    for position, digit in enumerate(reversed(body), 1):
        check = _PRODUCT[check][_POSITIONS[position % 8][int(digit)]]
    return f"{body}{_INVERSE[check]}"


class Writer:
    """Writes the files of one invented release."""

    def __init__(self, folder: Path, concepts: int) -> None:
        self._folder, self._concepts, self._random = folder, concepts, random.Random(54)
        self.below_ours: list[str] = []
        """The invented concepts that stand below codes of our groups."""
        self._ours = sorted(set().union(*snomed_roots().by_kind["group"].values()))

    def write(self) -> list[Path]:
        """Write the archive of RF2 and the tables, and say what they are."""
        self._folder.mkdir(parents=True, exist_ok=True)
        codes = [_ROOT, *self._ours]
        codes += [identifier(900_000_000 + number) for number in range(max(0, self._concepts - len(codes)))]
        archive = self._folder / f"SnomedCT_InventedRF2_PRODUCTION_{_DAY}T120000Z.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as content:
            for name, columns, rows in (
                ("Concept_Snapshot", "definitionStatusId", self._concept_rows(codes)),
                ("Relationship_Snapshot", _RELATION_COLUMNS, self._relation_rows(codes)),
                ("Description_Snapshot-en", "conceptId languageCode typeId term caseSignificanceId",
                 self._name_rows(codes)),
            ):  # fmt: skip
                position = f"SnomedCT/Snapshot/Terminology/sct2_{name}_INVENTED_{_DAY}.txt"
                with content.open(position, "w", force_zip64=True) as file:
                    file.write("\t".join(f"{_HEAD} {columns}\r\n".split(" ")).encode())
                    file.writelines(f"{row}\r\n".encode() for row in rows)
        return [archive, *self._tables()]

    def _concept_rows(self, codes: Sequence[str]) -> Iterator[str]:
        return (f"{code}\t{_DAY}\t1\tm\t900000000000074008" for code in codes)

    def _relation_rows(self, codes: Sequence[str]) -> Iterator[str]:
        """Yield relations: part of the concepts stands below our codes, as in a release; many have a second parent."""
        first, parents, number = len(self._ours) + 1, [0] * len(codes), 0
        of_ours, others = list(range(1, first)), [0]
        for position, code in enumerate(codes[1:], 1):
            is_below_ours = self._random.random() < _BELOW_OURS
            family = of_ours if is_below_ours else others
            parents[position] = 0 if position < first else self._random.choice(family)
            if position >= first:
                family.append(position)
                if is_below_ours:
                    self.below_ours.append(code)
            above = {parents[position]}
            above |= {parents[parents[position]]} if self._random.random() < 0.4 else set()
            above |= (
                {self._random.choice(family)} if position >= first and self._random.random() < _SECOND_PARENT else set()
            )
            for parent in sorted(above - {position}):
                number += 1
                yield f"{number}\t{_DAY}\t1\tm\t{code}\t{codes[parent]}\t0\t{_IS_A}\t900000000000011006\tm"

    def _name_rows(self, codes: Sequence[str]) -> Iterator[str]:
        for position, code in enumerate(codes):
            for language in _LANGUAGES:
                term = f"invented finding {position} of the {language} release"
                yield f"{position}{language}\t{_DAY}\t1\tm\t{code}\t{language}\t900000000000013009\t{term}\tc"

    def _tables(self) -> list[Path]:
        loinc, names, relations = (self._folder / name for name in ("Loinc.csv", "RXNCONSO.RRF", "RXNREL.RRF"))
        with loinc.open("w") as file:
            file.write("LOINC_NUM,COMPONENT,PROPERTY,TIME_ASPCT,SYSTEM,SCALE_TYP,METHOD_TYP\n")
            file.write("2823-3,Potassium,SCnc,Pt,Ser/Plas,Qn,\n")
            file.writelines(f"9{number}-0,Part {number % 9000},SCnc,Pt,Ser/Plas,Qn,\n" for number in range(_TABLES))
        with names.open("w") as file:
            file.writelines(
                f"8{number:06d}|ENG||||||1|||x|RXNORM|SCD|8{number:06d}|metformin {number} MG Oral Tablet||N|4096|\n"
                for number in range(_TABLES)
            )
        with relations.open("w") as file:
            file.writelines(
                f"6918||CUI|RN|7{number:06d}||CUI|has_ingredient|1||RXNORM|RXNORM||||\n" for number in range(_TABLES)
            )
        return [loinc, names, relations]


def measure(folder: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Import the files in a process of its own, and look codes and names up in another one."""
    index = folder / "invented.idx"
    run = [sys.executable, "-m", "maintenance.invented_release"]
    figures: dict[str, Any] = json.loads(
        subprocess.run([*run, "--import", index, *files], capture_output=True, text=True, check=True).stdout
    )
    with closing(sqlite3.connect(index)) as connection:
        query = "SELECT code FROM code WHERE system = 'snomed' ORDER BY random() LIMIT ?"
        texts = [[code for (code,) in connection.execute(query, (_LOOKUPS,))], figures.pop("some names")]
    looked_up: dict[str, Any] = json.loads(
        subprocess.run(
            [*run, "--look-up", index], input=json.dumps(texts), capture_output=True, text=True, check=True
        ).stdout
    )
    return figures | {"index MB": round(index.stat().st_size / 1e6, 1)} | looked_up


def _import(index: Path, files: Sequence[Path]) -> dict[str, Any]:
    from fhir.terminology.importing import import_releases

    begun = perf_counter()
    imported = import_releases(files, index, lambda *_: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "import s": round(perf_counter() - begun, 1),
        "import peak MB": round(peak),
        "codes": len(imported.codes),
        "names": len(imported.names),
        "some names": random.sample(sorted(imported.names), min(_LOOKUPS, len(imported.names))),
    }


def _resident() -> float:
    """Megabytes of this process that are resident."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _look_up(index: Path) -> dict[str, Any]:
    from fhir.record.measurement import read_imported_codes
    from fhir.terminology.imported import meaning_of_code, meaning_of_name, use_index

    codes, names = json.loads(sys.stdin.read())
    meaning_of_code("snomed", "1")
    before, begun = _resident(), perf_counter()
    use_index(index)
    read_imported_codes()
    start, invented = perf_counter() - begun, [f"{code}1" for code in codes]

    def microseconds(texts: Sequence[str], question: Callable[[str], Any]) -> float:
        times = []
        for part in range(0, len(texts), 1000):
            first = process_time()
            for text in texts[part : part + 1000]:
                question(text)
            times.append((process_time() - first) / len(texts[part : part + 1000]) * 1e6)
        return round(median(times), 2)

    figures = {"start s": round(start, 3)}
    for what, texts in (("known code", codes), ("unknown code", invented), ("known code, again", codes)):
        figures[f"{what} µs"] = microseconds(texts, lambda code: meaning_of_code("snomed", code))
    figures["known name µs"] = microseconds(names, meaning_of_name)
    return figures | {"more resident MB": round(_resident() - before, 1)}


def main(arguments: Sequence[str]) -> int:
    """Write and measure a release, or one step of it."""
    if arguments[:1] == ["--import"]:
        print(json.dumps(_import(Path(arguments[1]), [Path(name) for name in arguments[2:]])))
    elif arguments[:1] == ["--look-up"]:
        print(json.dumps(_look_up(Path(arguments[1]))))
    elif arguments and not arguments[0].startswith("-"):  # "--help" is no folder
        folder, concepts = Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else CONCEPTS
        for name, figure in measure(folder, Writer(folder, concepts).write()).items():
            print(f"{name}: {figure}")
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
