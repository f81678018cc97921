"""An import by a terminology server on loopback that answers $expand and $lookup page by page, with its faults."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from typer.testing import CliRunner

from cds_hooks.tools.commands.terminology import app
from fhir.client.terminology_server import TerminologyServer, expand_by
from fhir.mapping.understanding import understand
from fhir.terminology.definitions import Definition
from fhir.terminology.imported import use_index
from fhir.terminology.importing import faults_of, import_releases
from fhir.terminology.rf2 import NotARelease, Release, Roots
from tests.http_server import Asked, Reply, answering

_HF, _IBUPROFEN, _AGENT = "84114007", "387207008", "246075003"
_BELOW, _EXCLUDED, _ALLERGY, _PRODUCT = "90000101", "90000102", "90000103", "90000104"
_ELSEWHERE = "90000199"
_EDITION = "http://snomed.info/sct/900000000000207008/version/20260701"
Answer = tuple[int, Any]


def _release() -> Release:
    """Heart failure above two concepts, of which one was read and is in none, with one below; an allergy, a product."""
    release = Release(active={_HF, _IBUPROFEN, _BELOW, _EXCLUDED, _ALLERGY, _PRODUCT, "90000105"})
    for child, parent in ((_BELOW, _HF), (_EXCLUDED, _HF), ("90000105", _EXCLUDED)):
        release.children[parent].append(child)
    return release


_ATTRIBUTES: Final = {
    _AGENT: {_ALLERGY: _IBUPROFEN, _PRODUCT: _HF},
    "127489000": {_PRODUCT: _IBUPROFEN},
    "762949000": {},
}


def _concepts_of(expression: str) -> set[str]:
    """What a server holds of the three forms that it is asked: below these, but not below those, by an attribute."""
    concepts: set[str] = set()
    for part in re.split(r" OR (?=\(\*|\* )", expression):
        attribute = re.match(r"\(?\* : (\d+) = ", part)
        held, _, taken = (re.findall(r"<< (\d+)", side) for side in part.partition("MINUS"))
        members = _release().below(held, frozenset()) - _release().below(taken, frozenset())
        if attribute is not None:
            members = {source for source, target in _ATTRIBUTES[attribute[1]].items() if target in members}
        concepts |= members
    return concepts


def _expanded(asked: dict[str, Any]) -> Answer:
    """What a server answers: pages of the size that is asked for, the concepts below an abstract one.

    As FHIRsmith does, an expression with a code that the edition does not have is refused; of a list it is left out.
    """
    values = {part["name"]: part for part in asked["parameter"]}
    (include,) = values["valueSet"]["resource"]["compose"]["include"]
    release = _release()
    assert include["system"] == "http://snomed.info/sct"
    if "concept" in include:
        codes = sorted(release.active & {concept["code"] for concept in include["concept"]})
    else:
        (constraint,) = include["filter"]
        assert (constraint["property"], constraint["op"]) == ("constraint", "=")
        if absent := set(re.findall(r"\d{6,}", constraint["value"])) - release.active - _ATTRIBUTES.keys():
            issue = {"code": "invalid", "details": {"text": f"The SNOMED CT Concept {min(absent)} is not known"}}
            return 400, {"resourceType": "OperationOutcome", "issue": [issue]}
        codes = sorted(_concepts_of(constraint["value"]))
    offset, count = values["offset"]["valueInteger"], values["count"]["valueInteger"]
    page = [_entry(code) for code in codes[offset : offset + count]]
    contains = [{"abstract": True, "display": "all of them", "contains": page}] if page else []
    version = [{"name": "version", "valueUri": _EDITION}]
    return 200, {
        "resourceType": "ValueSet",
        "expansion": {"total": len(codes), "parameter": version, "contains": contains},
    }


def _entry(code: str) -> dict[str, Any]:
    designations = [{"language": "sv", "value": f"Blekinges sjukdom {code}"}]
    return {
        "system": "http://snomed.info/sct",
        "code": code,
        "display": f"Invented {code}",
        "designation": designations,
    }


_KNOWN: Answer = (200, {"resourceType": "Parameters", "parameter": [{"name": "version", "valueString": _EDITION}]})


@contextmanager
def _serving(expand: Callable[[dict[str, Any]], Answer], looked_up: Answer = _KNOWN) -> Iterator[tuple[str, list[str]]]:
    """The base address of a server, and the requests that it got."""
    requests: list[str] = []

    def reply(asked: Asked) -> Reply:
        requests.append(asked.path.partition("?")[0])
        status, content = expand(json.loads(asked.body)) if asked.method == "POST" else looked_up
        return status, {}, content if isinstance(content, bytes) else json.dumps(content).encode()

    with answering(reply) as base:
        yield f"{base}/fhir", requests


def _small() -> Roots:
    """Tables of few groups and ingredients: thousands of requests would show nothing more."""
    by_kind = {
        "group": {"hf": frozenset([_HF, _ELSEWHERE])},
        "drug": {"5640": frozenset([_IBUPROFEN]), "161": frozenset([_ELSEWHERE])},
        "allergen": {},
        "vaccine": {},
    }
    elsewhere = Definition("group", "gout", "snomed", f"{_HF};-{_ELSEWHERE}")
    below = Definition("group", "coma", "ecl", f"<< {_BELOW}")
    by_kind["group"] |= {"gout": frozenset(), "coma": frozenset()}
    return Roots(by_kind, frozenset([_EXCLUDED]), [elsewhere, below])


def _import(base: str, index: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["import", "--from", base, "--out", str(index)])
    return done.exit_code, done.output


def test_groups_allergies_and_products_are_expanded_by_a_server(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    index = tmp_path / "terms.idx"
    with _serving(_expanded) as (base, requests), httpx.Client() as http:
        ask = partial(expand_by, TerminologyServer(base, http, page=2), roots=_small())
        imported = import_releases([], index, lambda *_: None, ask)
    assert requests[0] == "/fhir/CodeSystem/$lookup"
    assert set(requests[1:]) == {"/fhir/ValueSet/$expand"}
    assert [(source.publisher, source.edition, source.file) for source in imported.sources] == [
        (base, _EDITION, "$expand")
    ]
    assert f"the definition of gout names {_ELSEWHERE}, which is not active in the release" in faults_of(imported)
    use_index(index)
    request.addfinalizer(lambda: use_index(None))

    def read(kind: str, element: str, code: str) -> Any:
        concept = {"coding": [{"system": "http://snomed.info/sct", "code": code}]}
        return understand({"resourceType": kind, element: concept})

    groups = [set(read("Condition", "code", code).groups) & {"hf", "coma"} for code in (_BELOW, _HF, _PRODUCT)]
    assert groups == [{"hf", "coma"}, {"hf"}, set()]
    assert [read("Condition", "code", code).understood for code in (_EXCLUDED, "90000105")] == [False, False]
    assert read("AllergyIntolerance", "code", _ALLERGY).drugs == ("ibuprofen",)
    assert read("MedicationRequest", "medicationCodeableConcept", _PRODUCT).drugs == ("ibuprofen",)
    assert read("AllergyIntolerance", "code", _ALLERGY).by == (f"SNOMED CT {_EDITION}, code {_ALLERGY}",)
    words = {"text": f"Blekinges sjukdom {_BELOW}"}
    assert "hf" in understand({"resourceType": "Condition", "code": words}).groups
    assert read("Condition", "code", _BELOW).by == (f"SNOMED CT {_EDITION}, code {_BELOW} (<< 84114007)",)


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_named(tmp_path: Path) -> None:
    answers = iter([(503, b""), (429, b"")])
    waited: list[float] = []
    with _serving(lambda asked: next(answers, None) or _expanded(asked)) as (base, _), httpx.Client() as http:
        assert sorted(TerminologyServer(base, http, waited.append).expand(f"<< {_BELOW}")) == [_BELOW]
    assert waited == [2.0, 4.0]
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": "too-costly", "diagnostics": "too many codes"}]}
    for answer, said in (
        ((422, outcome), "answered 422: too many codes"),
        ((200, b"<html>"), "answered 200"),
        ((200, {"resourceType": "ValueSet"}), "is not an expansion"),
    ):
        with _serving(lambda _, answer=answer: answer) as (base, _):  # type: ignore[misc]
            code, printed = _import(base, tmp_path / "terms.idx")
        assert (code, said in printed.replace("\n", " ")) == (1, True), printed
    code, printed = _import(base, tmp_path / "terms.idx")
    assert (code, "cannot be asked: ConnectError" in printed) == (1, True)
    assert not (tmp_path / "terms.idx").exists()


def test_an_edition_that_changes_between_two_pages_is_refused() -> None:
    editions = iter(["2026-07", "2027-01"])

    def changing(asked: dict[str, Any]) -> Answer:
        status, answer = _expanded(asked)
        answer["expansion"]["parameter"][0]["valueUri"] = next(editions)
        return status, answer

    with (
        _serving(changing) as (base, _),
        httpx.Client() as http,
        pytest.raises(NotARelease, match="the edition changed while it was read: 2026-07, 2027-01"),
    ):
        TerminologyServer(base, http, page=2).expand(f"<< {_HF}")


def test_a_code_that_the_server_does_not_know_is_told_in_its_words() -> None:
    issue = {"severity": "error", "code": "not-found", "details": {"text": 'Code "84114007" not found'}}
    unknown: Answer = (400, {"resourceType": "OperationOutcome", "id": "exception", "issue": [issue]})
    with (
        _serving(_expanded, unknown) as (base, _),
        httpx.Client() as http,
        pytest.raises(NotARelease, match=r'answered 400: Code "84114007" not found'),
    ):
        TerminologyServer(base, http).edition()


def test_what_an_answer_lacks_is_empty_and_a_server_that_stays_busy_is_left() -> None:
    """FHIR R4 (4.0.1): values of parameters, names, totals and the texts of an issue are optional."""
    flagged = [{"display": "Further ones"}, {"code": "4", "abstract": True}, {"code": "5", "inactive": True}]
    expansions: list[dict[str, Any]] = [
        {
            "contains": [{"code": "1", "designation": [{"language": "sv"}]}, {"code": "2"}],
            "parameter": [{"name": "version"}],
        },
        {"contains": [{"code": "3"}, *flagged]},
        {"total": 9, "contains": [{"code": "1"}]},
        {"total": 9},
    ]
    issue = {"code": "exception"}
    parts: list[dict[str, Any]] = [{}, {"parameter": [{"name": "version"}]}]
    answers = [(200, part) for part in parts] + [(200, {"expansion": expansion}) for expansion in expansions]
    answers += [(503, {"issue": [issue, {"code": "transient", "details": {"text": "later"}}]})] * 4
    answers += [(500, {"issue": [issue, {"diagnostics": "full"}]})]
    replies = (httpx.Response(status, json=content) for status, content in answers)
    waited: list[float] = []
    with httpx.Client(transport=httpx.MockTransport(lambda _: next(replies))) as http:
        server = TerminologyServer("http://127.0.0.1/r4", http, waited.append, page=2)
        assert (server.edition(), server.edition()) == ("", "")
        assert server.expand("<< 1") == {"1": [], "2": [], "3": []}
        assert (server.expand("<< 1"), server.editions) == ({"1": []}, {""})
        for told in ("answered 503: later$", "answered 500: full$"):
            with pytest.raises(NotARelease, match=told):
                server.expand("<< 1")
    assert waited == [2.0, 4.0, 8.0]


def test_neither_files_nor_a_server_is_an_error_and_snomed_ct_has_one_source(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["import"])
    assert done.exit_code == 2
    (tmp_path / "sct2_Concept_Snapshot_INT_20260701.txt").write_text("id\teffectiveTime\tactive\n")
    both = ["import", str(tmp_path), "--from", "http://127.0.0.1:9/fhir", "--out", str(tmp_path / "terms.idx")]
    done = CliRunner().invoke(app, both)
    assert (done.exit_code, "leave one out" in done.output) == (1, True), done.output
