"""The official requests and contexts: read, except where the index names a missing REQUIRED field or a wrong JSON type.

The expectation is derived from examples-index.json. Where we do otherwise the file stands in DIFFERENT with the reason.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cds_hooks.call.protocol.hooks import LIBRARY
from cds_hooks.call.protocol.request import CDSRequest, read_request
from cds_hooks.errors import BadRequest

REPLACED = "deprecated hook: answered with what to use (brief of issue 3, point 2)"
RENAMED = (
    "the required field is there under the name of an earlier version or of the library's own example (TRAP-37/38)"
)
DIFFERENT = {
    "medication-prescribe-context-dstu2.json": REPLACED, "medication-prescribe-context-stu3.json": REPLACED,
    "order-review-context-dstu2.json": REPLACED, "order-review-context-stu3.json": REPLACED,
    "allergyintolerance-create-context-dstu2.json": RENAMED, "allergyintolerance-create-context-stu3.json": RENAMED,
    "medication-verify-context-dstu2.json": RENAMED, "medication-verify-context-r4.json": RENAMED,
    "medication-verify-context-stu3.json": RENAMED, "order-dispatch-context-hook-1.0.json": RENAMED,
    "order-dispatch-context-library-1.0.1.json": RENAMED,
}  # fmt: skip
# "X is not a Bundle" is an array where the hook has an object; the other findings are about content, not JSON type.
_WRONG_TYPE = ("appointments is not a Bundle",)


@dataclass(frozen=True)
class Example:
    """One file of the folder and whether the index lets it be read."""

    file: str
    kind: str
    is_read: bool

    @property
    def hook(self) -> str:
        """The hook of a context, which stands in its file name."""
        return self.file.partition("-context-")[0]


def examples(folder: Path) -> list[Example]:
    """The requests and contexts of the index."""
    index = json.loads((folder / "examples-index.json").read_bytes())
    return [
        Example(each["file"], each["kind"], not any(map(_refuses, each["findings"])))
        for each in index
        if each["kind"] in ("request", "context")
    ]


def _refuses(finding: list[str]) -> bool:
    return finding[0].startswith("HK ") and (finding[1].startswith("REQUIRED ") or finding[1] in _WRONG_TYPE)


def read(folder: Path, example: Example) -> CDSRequest:
    """The example through the server's own reader."""
    body = json.loads((folder / "examples" / example.file).read_bytes())
    if example.kind == "context":
        body = {"hook": example.hook, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"} | body
    return read_request(json.dumps(body).encode(), LIBRARY)


def _is_read(folder: Path, example: Example) -> bool:
    try:
        read(folder, example)
    except BadRequest:
        return False
    return True


def test_every_request_and_context_is_read_or_refused_as_the_index_says(spec_folder: Path) -> None:
    different = {each.file for each in examples(spec_folder) if _is_read(spec_folder, each) is not each.is_read}
    assert different == set(DIFFERENT)


def test_the_old_names_of_order_dispatch_are_read(spec_folder: Path) -> None:
    for file in (
        "order-dispatch-context-hook-1.0.json",
        "order-dispatch-context-library-1.0.1.json",
        "order-dispatch-context-r4.json",
    ):
        context: Any = read(spec_folder, Example(file, "context", True)).context
        assert context.dispatched_orders == ("ServiceRequest/proc002",)
        assert [sorted(task)[0] for task in context.fulfillment_tasks] == ["authoredOn"]


def test_an_allergy_is_taken_out_of_its_wrapper_and_of_a_bundle_of_one(spec_folder: Path) -> None:
    for version in ("r4", "stu3", "dstu2"):
        file = f"allergyintolerance-create-context-{version}.json"
        context: Any = read(spec_folder, Example(file, "context", True)).context
        assert json.loads(bytes(context.allergy_intolerance))["resourceType"] == "AllergyIntolerance"
