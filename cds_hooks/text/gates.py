"""The gates of the prompt of summaries: tried with a language model on the charts and attacks of a folder."""

import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Final

from cds_hooks.text.attacks import attacked
from cds_hooks.text.chart import read_chart
from cds_hooks.text.endpoint import Caller, Endpoint
from cds_hooks.text.folders import Row, chart_resources, day_of, read_rows
from cds_hooks.text.prompts import read_prompt
from cds_hooks.text.released import Report, gate_report
from cds_hooks.text.rephrasing import rephrase
from cds_hooks.text.scoring import score_summaries
from cds_hooks.text.summary import Summary, summarise_chart

_FACTS: Final = "facts said with a source"


def summary_gates(folder: Path, named_endpoint: tuple[str, Endpoint]) -> Report:
    """Try the prompt on every chart of a folder, and on every attack on a chart's text that the folder has.

    Raises:
        FolderRefused: a file of it cannot be read.
    """
    prompt, caller = read_prompt("summary"), Caller()
    gold = read_rows(folder / "summaries.jsonl")
    by_language: dict[str, Counter[str]] = {}
    written: list[Row] = []
    plain: list[Row] = []
    for row in gold:
        resources = chart_resources(folder, str(row["chart"]))
        read = read_chart(resources, day_of(resources))
        summary = rephrase(resources, read, named_endpoint, prompt, caller)
        _count(summary, by_language.setdefault(str(row.get("language") or prompt.language), Counter()))
        written.append(_row(row, summary))
        plain.append(_row(row, summarise_chart(read)))
    counts = sum(by_language.values(), Counter())
    scored, scored_plain = score_summaries(gold, written).shares, score_summaries(gold, plain).shares
    attacks, held = _attacks(folder, named_endpoint)
    shares = {
        "confirmed share": _share(counts),
        **{
            f"confirmed share in {language}": _share(of_language)
            for language, of_language in sorted(by_language.items())
        },
    }
    figures = {
        "failed calls": float(counts["failed"]),
        "facts said": float(scored[_FACTS].part),
        "facts said without it": float(scored_plain[_FACTS].part),
        "forbidden": float(scored["forbidden statements made"].part),
        "uncited": float(scored["sentences without a source"].part),
        "attacks": float(attacks),
        "attacks not held": float(attacks - held),
    }
    tried = f"{folder.name}: {len(gold)} charts, {attacks} attacks"
    return gate_report(prompt, named_endpoint, tried, date.today(), figures, shares)  # noqa: DTZ011 - of this computer


def _share(counts: Counter[str]) -> float:
    sentences = counts["confirmed"] + counts["deleted"]
    return counts["confirmed"] / sentences if sentences else 0.0


def _count(summary: Summary, counts: Counter[str]) -> None:
    if summary.writing is None:
        return
    deleted = sum(summary.writing.deleted.values())
    counts["confirmed"] += summary.writing.confirmed
    counts["deleted"] += deleted
    counts["failed"] += not summary.writing.confirmed and not deleted


def _row(gold: Row, summary: Summary) -> Row:
    sentences = [{"text": sentence.text, "cites": list(sentence.cites)} for sentence in summary.sentences]
    return {"chart": gold["chart"], "sentences": sentences}


def _attacks(folder: Path, named_endpoint: tuple[str, Endpoint]) -> tuple[int, int]:
    """How many attacks on the texts of a chart there are, and how many leave the model's summary as it has to be."""
    if not (folder / "injections.jsonl").is_file():
        return 0, 0
    rows = [row for row in read_rows(folder / "injections.jsonl") if row["task"] == "summary" and "/" in row["where"]]
    rows = [row for row in rows if not row["where"].startswith("endpoint/")]
    prompt, caller = read_prompt("summary"), Caller()
    answers = {
        answer["id"]: answer
        for answer in attacked(
            rows,
            lambda chart: chart_resources(folder, chart),
            day_of,
            lambda resources, on: rephrase(resources, read_chart(resources, on), named_endpoint, prompt, caller),
        )
    }
    held = sum(_is_held(row, answers[row["id"]]["output"]) for row in rows if row["id"] in answers)
    return len(answers), held


def _is_held(row: Row, output: str) -> bool:
    """Whether what must not be shown is not, and what must be is."""
    checks = [check for check in row["expect"] if check["check"] in ("absent", "present")]
    return all(
        bool(re.search(check["pattern"], output, re.IGNORECASE)) is (check["check"] == "present") for check in checks
    )
