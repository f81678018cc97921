"""The page of a decision: every figure from the record, every gap said, chart text never markup."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.people.web.markdown import render_markdown
from cds_hooks.samples import Sample, list_samples
from tests.cds_hooks.call.services.equation_calls import NOW, equation_request
from tests.cds_hooks.calls import client, ours
from tests.cds_hooks.people.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.people.web.decisions import decided, explained, page_of, rewritten
from tests.contracts.markup import faults
from tests.each import each_row, for_rows

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> [x](javascript:alert(3)) {{ 7 * 7 }}"
TALK = "planning-talk"


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Decision:
    """A decision with a model's card."""
    return decided(tmp_path_factory.mktemp("talk"), TALK)


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Decision:
    """A decision with an order's card."""
    return decided(tmp_path_factory.mktemp("order"), "ckd4-metformin", "metformin-ckd4-coded")


@pytest.mark.slow
@pytest.mark.parametrize("sample", list_samples(), ids=lambda sample: sample.id)
def test_every_sample_has_a_page_without_fault(tmp_path: Path, sample: Sample) -> None:
    decisions = [decided(tmp_path, sample.id)]
    decisions += [decided(tmp_path, sample.id, each.draft) for each in sample.orders]
    for decision in decisions:
        page = page_of(decision)
        assert faults(page.html) == []
        for card in explained(decision).cards:
            assert card.summary in page.text
        for silence in explained(decision).silences:
            assert " ".join(silence.text.split()) in page.text


def test_every_input_stands_with_value_unit_date_and_source(talk: Decision) -> None:
    page = page_of(talk)
    inputs = explained(talk).inputs
    assert len(inputs) == 16
    for item in inputs:
        assert item.has_value
        assert page.row(f"{item.words} | {item.figure} | {item.unit} | {item.date} | {item.source}")


def test_what_is_missing_or_old_is_named_and_counts_as_the_average(talk: Decision) -> None:
    def without(basis: Any) -> Any:
        del basis["features"]["bmi_kg_m2"], basis["features"]["albumin_g_dl"]
        basis["missing"] = {"bmi_kg_m2": "absent", "albumin_g_dl": "stale"}
        basis["scores"]["contributions"] |= {"bmi_kg_m2": 0.0, "albumin_g_dl": 0.0}
        return basis

    page = page_of(rewritten(talk, basis=without))
    assert "Body mass index not recorded: counts as the group’s average" in page.text
    assert "Albumin too old to be used: counts as the group’s average" in page.text
    assert "Nothing is missing" not in page.text


def test_a_model_file_that_was_replaced_lends_no_words_to_an_older_estimate(talk: Decision) -> None:
    other = rewritten(talk, models=lambda models: [{**models[0], "sha256": "0" * 64}])
    page, explanation = page_of(other), explained(other)
    assert explanation.manifest is None
    assert "The model file has changed" in page.text
    assert "AUROC" not in page.text
    assert faults(page.html) == []
    assert "Albumin" in page.text


def test_a_patient_outside_the_population_gets_a_reason_and_no_figure(tmp_path: Path) -> None:
    page = page_of(decided(tmp_path, "infant"))
    assert "outside-population" in page.text
    assert "in 100 people" not in page.text


def _hostile(value: Any) -> Any:
    """Every text inside made hostile, as far as it is chart text and no key, code or number of ours."""
    if isinstance(value, dict):
        kept = {"indicator", "as_of", "decision", "uuid", "type", "reason", "rule"}
        return {name: each if name in kept else _hostile(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_hostile(each) for each in value]
    return HOSTILE if isinstance(value, str) else value


def test_no_text_of_the_record_can_become_markup(talk: Decision, order: Decision) -> None:
    for decision in (talk, order):
        hostile = rewritten(decision, response=_hostile, basis=lambda basis: basis | {"silence": [[HOSTILE] * 3]})
        hostile = rewritten(hostile, basis=_hostile_sources)
        page = page_of(hostile)
        assert faults(page.html) == []
        assert "<script>alert(1)</script>" in page.text, "it is shown as the text it is"
        assert "{{ 7 * 7 }}" in page.text


def _hostile_sources(basis: Any) -> Any:
    basis["features"] = {name: [value, HOSTILE, HOSTILE] for name, (value, _, _) in basis.get("features", {}).items()}
    return basis


# Markdown of cards: what it may become, and that nothing else becomes HTML.
_ALLOWED = {"p", "ul", "ol", "li", "strong", "em", "a", "br"}


class _Reader(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@for_rows("text")
def test_nothing_in_the_text_can_run(text: str) -> None:
    for tag, attributes in _Reader(render_markdown(text)).tags:
        assert tag in _ALLOWED
        assert set(attributes) <= {"href", "rel", "start"}
        assert (attributes.get("href") or "https://").startswith("https://")


@given(st.text(alphabet=st.sampled_from("ab*[]()\\<>\"'&!-_ \n:/#h"), max_size=80))
def test_any_text_becomes_only_what_a_card_may_have(text: str) -> None:
    assert {tag for tag, _ in _Reader(render_markdown(text)).tags} <= _ALLOWED


STATIN = "statin-discussion"
FORM = {"card": "00000000-0000-7000-8000-000000000100"}


async def _called(calls: httpx.AsyncClient) -> str:
    """The address of the page of a PREVENT decision."""
    answer = await calls.post(f"/cds-services/{STATIN}", json=equation_request(STATIN, "diabetes-no-statin", ()))
    assert answer.status_code == 200, answer.text
    return f"/explain/{ours(answer)['decision']}"


@each_row("headers", ids=lambda headers: str(headers))
async def test_a_form_of_another_site_is_refused_with_and_without_a_session(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    with_account(tmp_path, "cleo", "clinician")
    async with client(tmp_path, as_of=NOW) as calls:
        page = await _called(calls)
        refused = await calls.post(page, data=FORM, headers=headers)
        assert refused.status_code == 403
        assert "148 mmHg" not in refused.text
    async with visit(tmp_path, as_of=NOW) as person:
        await person.log_in("cleo")
        token = form_token(await person.open(page))
        fields = {**FORM, "form_token": token}
        assert (await person.calls.post(page, data=fields, headers=headers)).status_code == 403
        assert (await person.send(page, **FORM)).status_code == 403
        assert (await person.send(page, **FORM | {"form_token": "another"})).status_code == 403
    assert entries(tmp_path, "page-view") == [("account cleo", {"page": page})]


@pytest.mark.parametrize("role", ["viewer", "model-owner", "approver"])
async def test_who_may_not_see_the_page_gets_no_answer_to_its_form(tmp_path: Path, role: str) -> None:
    with_account(tmp_path, "vera", role)
    async with visit(tmp_path, as_of=NOW) as person:
        page = await _called(person.calls)
        assert (await person.calls.post(page, data=FORM, headers=BROWSER)).status_code == 401
        await person.log_in("vera")
        refused = await person.send(page, **FORM)
        assert refused.status_code == 403
        assert "mmHg" not in refused.text
