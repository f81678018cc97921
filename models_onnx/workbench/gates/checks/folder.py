"""Is the file safe and the one that was signed, and does its folder contain anything that it should not?"""

import re
from pathlib import Path

import numpy as np

from models_onnx.artifact.folder import CARD, MANIFEST, MODEL, load_artifact
from models_onnx.artifact.release_file import RELEASE
from models_onnx.errors import ArtifactRefused
from models_onnx.serving.runtime import RUN_ERRORS
from models_onnx.workbench.gates.gate import UnsafeFile, Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject
from models_onnx.workbench.release.publishing import COMPARISON
from models_onnx.workbench.release.publishing import GATES as GATES_FILE

EXPECTED = frozenset({MODEL, MANIFEST, CARD, RELEASE, GATES_FILE, COMPARISON})
_SUFFIXES = frozenset({".onnx", ".json"})

# Patterns of content that may not be published: secrets, addresses of people, paths of somebody's machine.
_FORBIDDEN = (
    ("a private key", re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("an access token", re.compile(rb"\b(?:eyJ[\w-]{20,}\.[\w-]{20,}|gh[pousr]_\w{30,}|AKIA[0-9A-Z]{16})")),
    ("a social security number", re.compile(rb"\b\d{3}-\d{2}-\d{4}\b")),
    ("an e-mail address of a person", re.compile(rb"[\w.+-]+@(?!example\.)[\w-]+\.[a-z]{2,}", re.IGNORECASE)),
    ("a path of somebody's machine", re.compile(rb"(?:/home/|/Users/|[A-Z]:\\\\Users\\\\)[\w.-]+")),
    ("pickled Python", re.compile(rb"\x80\x04\x95.{8}\x8c|c__builtin__\n|csklearn\.", re.DOTALL)),
)


def check_file(subject: Subject, _evidence: Evidence) -> Verdict:
    """Check signature, hashes, size, operators and contents of the folder, and that the file loads and runs.

    Raises:
        UnsafeFile: It must not be opened.
    """
    try:
        release = load_artifact(subject.folder, subject.keys, signed=True).release
        subject.answers(np.zeros((1, len(subject.features))))
    except ArtifactRefused as problem:
        raise UnsafeFile(str(problem)) from problem
    except RUN_ERRORS as problem:
        raise UnsafeFile(f"the model could not be loaded and run: {str(problem)[:200]}") from problem
    assert release is not None  # noqa: S101 - it was asked for signed
    strange = sorted(path.name for path in subject.folder.iterdir() if path.name not in EXPECTED)
    faults = [*(f"{name} is no part of a release" for name in strange), *_found_inside(subject.folder)]
    return Verdict(
        f"Signed by {subject.keys[release.key].name}; {len(subject.content):,} bytes, standard operators only; it "
        "loads and runs.",
        tuple(faults),
        figures={"digest": release.digest, "bytes": len(subject.content)},
    )


def _found_inside(folder: Path) -> list[str]:
    faults = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _SUFFIXES and path.name != GATES_FILE:
            content = path.read_bytes()
            faults += [
                f"{path.name} holds {content_kind}" for content_kind, pattern in _FORBIDDEN if pattern.search(content)
            ]
    return faults
