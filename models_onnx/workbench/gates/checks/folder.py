"""Is the file safe and the one that was signed, and does its folder contain anything that it should not?"""

import re
from pathlib import Path

import numpy as np

from models_onnx.artifact.folder import CARD, MANIFEST, MODEL, read_manifest, refuse_other_files
from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.artifact.release_file import RELEASE, read_release
from models_onnx.errors import ArtifactRefused, UnsafeModel
from models_onnx.serving.runtime import RUN_ERRORS, session_of
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
        release = read_release(subject.folder, subject.keys)
        refuse_other_files(subject.folder, release)
        refuse_unsafe(subject.content)
        read_manifest(subject.folder)
        inputs, outputs = _tensors(subject.content)
    except ArtifactRefused as problem:
        raise UnsafeFile(str(problem)) from problem
    strange = sorted(path.name for path in subject.folder.iterdir() if path.name not in EXPECTED)
    faults = [*(f"{name} is no part of a release" for name in strange), *_found_inside(subject.folder)]
    return Verdict(
        f"Signed by {subject.keys[release.key].name}; {len(subject.content):,} bytes, standard operators only; it "
        "loads and runs.",
        tuple(faults),
        figures={"digest": release.digest, "bytes": len(subject.content), "inputs": inputs, "outputs": outputs},
    )


def _tensors(content: bytes) -> tuple[list[str], list[str]]:
    """Return the names of inputs and outputs of a file that loads and runs one row of zeros; UnsafeModel otherwise."""
    try:
        session = session_of(content)
        row = {
            item.name: np.zeros([size if isinstance(size, int) and size > 0 else 1 for size in item.shape], np.float32)
            for item in session.get_inputs()
        }
        session.run(None, row)
    except RUN_ERRORS as problem:
        raise UnsafeModel(f"the model could not be loaded and run: {str(problem)[:200]}") from problem
    return [*row], [item.name for item in session.get_outputs()]


def _found_inside(folder: Path) -> list[str]:
    faults = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _SUFFIXES and path.name != GATES_FILE:
            content = path.read_bytes()
            faults += [
                f"{path.name} holds {content_kind}" for content_kind, pattern in _FORBIDDEN if pattern.search(content)
            ]
    return faults
