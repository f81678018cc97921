"""Makes the table of words that leave the name of a disease what it is, from names of diseases.

A word is neutral where it stands in names of codes that are in groups of conditions at least as often as in names of
what is no disease of the patient (chapter Z of ICD-10-CM; situations, observations, persons and events of
SNOMED CT), and in the true wordings of our tests more often than in the look-alikes. Long words are kept as stems.
The words of signs and symptoms in other languages, which stand beside diagnoses and beside what somebody is allergic
to, are those of the translations of the Human Phenotype Ontology: words only, none of its terms.
"""

import csv
import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fhir.terminology.assertions import tokens_of
from fhir.terminology.conditions import SNOMED, condition_groups_of
from fhir.terminology.medications import table_rows
from fhir.terminology.phrases import plain_words

_ICD10: Final = "http://hl7.org/fhir/sid/icd-10-cm"
_NO_DISEASES: Final = frozenset("Z")
_TAGS_OF_NO_DISEASE: Final = frozenset(
    {"situation", "observable entity", "regime/therapy", "person", "occupation", "event", "environment"}
    | {"record artifact", "assessment scale", "social concept"}
)
_STEM: Final = 6
_OF_OTHERS: Final = re.compile(
    r"matern|patern|famil|histor|relativ|parent|sibling|exposure|carrier|allerg|risk|normal(?!it)", re.I
)
"""English names of phenotypes that are of somebody else, or of no disease."""
_MADE: Final = "made from ICD-10-CM titles (CMS, public domain), names of the SNOMED CT Global Patient Set (CC BY 4.0)"


class _Share:
    """How often words stand in names of diseases and in others, each by the number of names."""

    def __init__(self) -> None:
        self.counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
        self.names = [0, 0]

    def add(self, text: str, *, of_disease: bool, times: int = 1) -> None:
        self.names[of_disease] += times
        self.counts[of_disease].update(dict.fromkeys(_words(text), times))

    def of(self, word: str) -> tuple[float, float]:
        """Return the shares of the names of no disease, and of diseases, that have the word."""
        others, diseases = self.counts
        return others[word] / max(1, self.names[0]), diseases[word] / max(1, self.names[1])


def _words(text: str) -> set[str]:
    return {word for word, _ in plain_words(tokens_of(text))}


def make_table(release: Path, wordings: Path) -> str:
    """Return the table with the rows that are made, and the rows of general knowledge as they are.

    The folder has the titles of ICD-10-CM as icd10cm_codes.csv.gz (code, title), and the names of the Global Patient
    Set as snomed_names.json (name by code).
    """
    icd10, snomed = release / "icd10cm_codes.csv.gz", release / "snomed_names.json"
    titles, names, in_members = _Share(), _Share(), Counter[str]()
    for row in csv.DictReader(gzip.decompress(icd10.read_bytes()).decode().splitlines()):
        in_groups = bool(condition_groups_of(_ICD10, row["code"]))
        in_members.update(_words(row["title"]) if in_groups else ())
        if in_groups or row["code"][0] not in "RVWXY":
            of_disease = in_groups or row["code"][0] not in _NO_DISEASES
            titles.add(row["title"], of_disease=of_disease, times=1 + in_groups)
    for code, name in json.loads(snomed.read_bytes()).items():
        bare, _, tag = name.rstrip(")").rpartition(" (")
        in_groups = bool(condition_groups_of(SNOMED, code))
        in_members.update(_words(bare) if in_groups else ())
        if in_groups or tag in ("disorder", "body structure", "morphologic abnormality", "qualifier value"):
            names.add(bare, of_disease=True, times=1 + in_groups)
        elif tag in _TAGS_OF_NO_DISEASE:
            names.add(bare, of_disease=False)
    true, others = Counter[str](), Counter[str]()
    for row in csv.DictReader(wordings.read_text(encoding="utf-8").splitlines()):
        if row["resource"] == "Condition":
            (true if row["is_meant"] == "yes" else others).update(_words(row["words"]))
    signs = Counter[str]()
    for name in _names_of_signs(release):
        signs.update(_words(name))
    kept = [row for row in table_rows("neutral_words.csv") if not row["source"].startswith(_MADE)]
    known = {word for row in kept if row["kind"] in ("word", "end", "self") for word in row["words"].split("|")}
    seen = {word for share in (titles, names) for word in share.counts[1]}
    neutral = {
        word
        for word in seen
        if _is_of_diseases(word, titles, names) and (others[word] <= max(1, true[word], in_members[word] // 4))
    }
    neutral |= {word for word in true if 4 * others[word] <= true[word]}
    cues = {word for row in table_rows("assertion_cues.csv") for word in row["words"].split("|")}
    neutral |= {word for word, names in signs.items() if names > 3 and not others[word] and word not in cues}
    neutral = {word for word in neutral if len(word) > 1 and word.isalpha()}
    strange = {*titles.counts[0], *names.counts[0], *others} - neutral - known
    stems = {word[:_STEM] for word in neutral if len(word) > _STEM} - {word[:_STEM] for word in strange}
    words = {word for word in neutral if word[:_STEM] not in stems or len(word) <= _STEM} - known
    source = (
        f"{_MADE}, words of the translations of the Human Phenotype Ontology (2026-06-22) and wordings of our "
        "tests (python -m maintenance.knowledge neutral)"
    )
    made = [{"kind": kind, "source": source, "words": "|".join(sorted(of_kind))} for kind, of_kind in
            (("word", words), ("stem", stems))]  # fmt: skip
    out = io.StringIO()
    writer = csv.DictWriter(out, ("kind", "source", "words"), lineterminator="\n")
    writer.writeheader()
    writer.writerows([*kept, *made])
    return out.getvalue()


def _names_of_signs(release: Path) -> Iterator[str]:
    """Yield the names of signs in the files hp-*.tsv of the translations, without those of somebody else's."""
    left_out: set[str] = set()
    for path in sorted(release.glob("hp-*-babelon.tsv")):
        for row in csv.DictReader(
            path.read_text(encoding="utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE
        ):
            if _OF_OTHERS.search(row["source_value"]):
                left_out.add(row["subject_id"])
            else:
                yield from (row["source_value"], row["translation_value"] or "")
    for path in sorted(release.glob("hp-*-synonyms.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines()[2:]:
            subject, name = line.split("\t")[:2]
            if subject not in left_out:
                yield name


def _is_of_diseases(word: str, titles: _Share, names: _Share) -> bool:
    (no_title, title), (no_name, name) = titles.of(word), names.of(word)
    return title + name >= no_title + no_name
