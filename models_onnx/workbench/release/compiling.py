"""Compiles the model file of another library to an ONNX file with its card, and describes what was proven."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.readers.rows import read_rows
from models_onnx.workbench.compiler.readers.source import read_file


def compile_to_file(
    model_file: Path,
    reference: Path,
    card: Path,
    out: Path,
    *,
    features: str | None,
    outcome: str | None,
    groups: Sequence[str],
    name: str | None,
    version: str,
) -> dict[str, Any]:
    """Write the ONNX file `out` and return the report of its proof.

    `features` names columns separated by commas, `groups` are texts NAME=INPUT,INPUT.

    Raises:
        CompileRefused: the file, the rows or the card cannot be used; nothing is written.
    """
    is_onnx = model_file.suffix.lower() == ".onnx"
    if is_onnx and not features:
        raise CompileRefused(f"{model_file.name}: --features names the columns of the rows in the file's order")
    names = features.split(",") if features else read_file(model_file).features
    rows = read_rows(reference, names, outcome)
    compiled = compile_model(
        OnnxSource(model_file.name, model_file.read_bytes()) if is_onnx else model_file,
        rows.X,
        features=names,
        outcomes=rows.outcomes,
        name=name or out.stem,
        version=version,
        groups=dict(_group(text) for text in groups),
        card=_card(card),
    )
    compiled.save(out)
    return dict(compiled.report.as_dict())


def report_page(report: dict[str, Any], out: Path) -> str:
    """Return the report as lines of Markdown."""
    agreement = report["agreement"]
    return "\n".join(
        (
            f"{out}: {report['form']}, {len(report['features'])} inputs, explained as {len(report['groups'])}",
            "",
            f"- explanation: {report['explanation']}",
            f"- rows of the proof: {agreement['rows']}, {agreement['rows_with_missing']} with something missing",
            f"- largest difference: probability {agreement['probability']:.1e}, contribution "
            f"{agreement['contribution']:.1e}, sum {agreement['additivity']:.1e}",
            f"- {report['bytes']:,} bytes, sha256 {report['sha256']}",
            "",
        )
    )


def _group(declaration: str) -> tuple[str, list[str]]:
    name, _, members = declaration.partition("=")
    if not name or not members:
        raise CompileRefused(f"--group {declaration}: write NAME=INPUT,INPUT")
    return name, members.split(",")


def _card(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as problem:
        raise CompileRefused(f"{path.name} is not JSON: {problem}") from problem
    if not isinstance(document, dict) or not document:
        raise CompileRefused(f"{path.name} is not a model card: a JSON object with at least one member")
    return document
