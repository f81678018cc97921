"""Replays decisions: model scores in batches, whole calls one by one; one verdict for each."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Final, Literal

import msgspec
import orjson
from msgspec import Struct

from cds_hooks.configuration import Content, read_content
from cds_hooks.errors import HookError
from cds_hooks.prefetch.facts import FactsOfCall
from cds_hooks.replay.comparing import (
    Difference,
    causes,
    differences_in,
    first_of,
    mentioned,
    response_for_comparison,
)
from cds_hooks.replay.memory import Remembered
from cds_hooks.replay.site import Site
from cds_hooks.replay.stages import answer_again
from cds_hooks.replay.values import Basis, equation_scores, model_scores, read_basis, vaccine_scores, vectors_of
from cds_hooks.services._model import ChartModel, version_scores
from cds_hooks.storage.decision import Decision, encode_scores
from cds_hooks.storage.queries import facts_of
from fhir.record.facts import NotKept
from fhir.record.resources import Patient
from models_onnx.serving.runtime import Model

AT_ONCE: Final = 500
"""So many decisions are replayed together: those of one model are one run of it."""
_BELOW: Final = "below-threshold"
_NOTHING_KEPT: Final = "no facts were kept: the decision was made with CDS_KEEP_FACTS=false"


By = Literal["facts", "values", ""]


class Verdict(Struct, frozen=True, kw_only=True):
    """What a replay of one decision came to.

    `by` says what was computed again: the whole call from the facts that its answer read ("facts"), the scores from the
    recorded values ("values"), or nothing, because the record does not hold what is needed; then `because` says why.
    """

    decision: str
    service: str
    outcome: Literal["same", "differs", "not-replayed"]
    by: By = ""
    differences: tuple[Difference, ...] = ()
    causes: tuple[str, ...] = ()
    because: str = ""


class Replayed(Struct, frozen=True):
    """A decision, what it recorded, and what was computed again: the answer, or scores and whether a card is due."""

    decision: Decision
    basis: Basis
    by: By = ""
    answer: bytes | None = None
    """The body of the answer, or an object with the `error` for which there is none; None of recorded values."""
    scores: Mapping[str, Any] | None = None
    is_due: bool | None = None
    """Whether the card of a model is due by its threshold; None where the values do not tell."""
    because: str = ""
    as_of: datetime | None = None
    patient: Patient | None = None
    """The patient of a call that was replayed from its facts: birth date and sex."""

    @property
    def response(self) -> Mapping[str, Any] | None:
        """The answer as it is compared with another one."""
        return response_for_comparison(self.answer) if self.answer is not None else None


class Replayer:
    """Replays decisions at a site; `as_of` replays whole calls as of another instant than their own.

    With `whole` False, scores of models and equations and forecasts of vaccines are computed from the recorded values
    alone, many times as fast; their cards are then not compared.
    """

    def __init__(self, site: Site, url: str, as_of: datetime | None = None, *, whole: bool = True) -> None:
        """`url` is where the record is, for what was in force then and for the facts that were kept."""
        self._whole = whole
        self._site = site
        self._url = url
        self._as_of = as_of
        self._contents: dict[str, Content | None] = {}

    def verdicts(self, decisions: Iterable[Decision]) -> Iterator[Verdict]:
        """Yields one verdict for each decision; what is computed in batches comes in another order."""
        for row in self.replayed(decisions):
            yield self._verdict(row)

    def replayed(self, decisions: Iterable[Decision]) -> Iterator[Replayed]:
        """Yields each decision computed again."""
        source = iter(decisions)
        while batch := list(islice(source, AT_ONCE)):
            rows = [Replayed(decision, read_basis(decision.basis)) for decision in batch]
            by_call = [row for row in rows if self._whole or not row.basis.has_values]
            facts = facts_of(self._url, [row.decision.id for row in by_call])
            with_facts = [row for row in by_call if row.decision.id in facts]
            yield from (self._by_call(row, facts[row.decision.id]) for row in with_facts)
            done = {row.decision.id for row in with_facts}
            of_model: dict[tuple[str, str], list[Replayed]] = {}
            for row in rows:
                if row.decision.id in done:
                    continue
                if row.basis.is_of_model:
                    of_model.setdefault(row.basis.score_of, []).append(row)
                else:
                    yield self._by_values(row)
            for (model_id, sha256), alike in of_model.items():
                yield from self._by_model(model_id, sha256, alike)

    def _by_call(self, row: Replayed, facts: bytes) -> Replayed:
        """Returns the whole call, from the facts that are kept of it."""
        decision, basis, site = row.decision, row.basis, self._site
        service, client = site.services.get(decision.service), site.client_of(decision.client)
        if service is None or client is None:
            missing = f"service {decision.service}" if service is None else f"client {decision.client}"
            return _not(row, f"there is no {missing} here any more")
        as_of = self._as_of or basis.as_of
        remembered = Remembered(decision.response, basis.silence, basis.withheld, basis.answered)
        site.governance.recall(remembered, as_of.date())
        try:
            call_facts = FactsOfCall(facts, basis, decision.patient)
            answer = answer_again(site, service, client, decision, basis, call_facts, as_of)
        except HookError as error:
            refusal = msgspec.json.encode({"error": error.text})
            return msgspec.structs.replace(row, by="facts", answer=refusal, as_of=as_of)
        except NotKept as error:
            return _not(row, f"what is in force now reads more than was kept: {error}")
        except msgspec.MsgspecError:
            return _not(row, "the facts that were kept cannot be read")
        patient = call_facts.record.patient if call_facts.record is not None else None
        response, scores = answer.decision.response, answer.selected.advised.advice.scores
        return Replayed(decision, basis, "facts", response, scores, as_of=as_of, patient=patient)

    def _by_model(self, model_id: str, sha256: str, rows: list[Replayed]) -> Iterator[Replayed]:
        model = self._site.model_of(model_id, sha256)
        if model is None:
            yield from (_not(row, f"there is no model {model_id} here any more") for row in rows)
            return
        lacking = set(model.features).difference(*({*row.basis.features, *row.basis.missing} for row in rows))
        if lacking:
            text = f"the model {model_id} has inputs that were not recorded: {', '.join(sorted(lacking))}"
            yield from (_not(row, text) for row in rows)
            return
        for row, scores in zip(rows, model_scores([row.basis for row in rows], model), strict=True):
            is_due = self._card_is_due(row, scores, model)
            yield msgspec.structs.replace(row, by="values", scores=self._with_versions(row, scores), is_due=is_due)

    def _with_versions(self, row: Replayed, scores: dict[str, Any]) -> dict[str, Any]:
        """Returns the scores with those of the versions that were computed beside it, as far as they are here still."""
        compared = (row.basis.scores or {}).get("beside")
        service = self._site.services.get(row.decision.service)
        if not compared or service is None or service.of_chart is None:
            return scores
        scores_beside = []
        for version in compared:
            model = self._site.version_of(version["id"], version["sha256"])
            if model is None or "error" in version:
                scores_beside.append(version)
                continue
            computed = model.predict(vectors_of([row.basis], model)[0])
            scores_beside.append(version_scores(model, computed, partial(self._is_due, service.of_chart, row, model)))
        return {**scores, "beside": scores_beside}

    def _card_is_due(self, row: Replayed, scores: Mapping[str, Any], model: Model) -> bool | None:
        service = self._site.services.get(row.decision.service)
        if service is None or service.of_chart is None:
            return None
        return self._is_due(service.of_chart, row, model, scores)

    def _is_due(self, chart_model: ChartModel, row: Replayed, model: Model, scores: Mapping[str, Any]) -> bool:
        age = row.basis.features.get("age_years", (None,))[0]
        return chart_model.is_due(model, scores, age, self._site.thresholds)

    def _by_values(self, row: Replayed) -> Replayed:
        basis = row.basis
        if row.decision.outcome == "error":
            return _not(row, "the call was refused, so nothing was computed")
        if basis.is_of_vaccines:
            return msgspec.structs.replace(row, by="values", scores=vaccine_scores(basis))
        if basis.scores is not None and "parts" in basis.scores:
            scores = equation_scores(basis, self._site.in_force["setting"])
            return msgspec.structs.replace(row, by="values", scores=scores)
        return _not(row, _NOTHING_KEPT)

    def _verdict(self, row: Replayed) -> Verdict:
        decision = row.decision
        if not row.by:
            return Verdict(decision=decision.id, service=decision.service, outcome="not-replayed", because=row.because)
        first = first_of(self._differences(row))
        if not first:
            return Verdict(decision=decision.id, service=decision.service, outcome="same", by=row.by)
        then, now = self._content(row.basis.config), self._site.in_force
        about = {row.basis.score_id, *(load["id"] for load in orjson.loads(decision.models))}
        about |= mentioned(orjson.loads(decision.response), row.response or {})
        reasons = causes(then, now, about, row.basis.as_of, row.as_of or row.basis.as_of)
        return Verdict(
            decision=decision.id,
            service=decision.service,
            outcome="differs",
            by=row.by,
            differences=first,
            causes=reasons,
        )

    def _differences(self, row: Replayed) -> Iterator[Difference]:
        scores = encode_scores(row.scores)
        if scores != bytes(row.basis.scores_as_recorded):  # the same words in another order are no difference
            yield from differences_in("scores", row.basis.scores, orjson.loads(scores))
        if row.answer is not None and row.answer != row.decision.response:
            recorded, replayed = response_for_comparison(row.decision.response), row.response
            if recorded != replayed:  # comparing them as wholes is many times as fast as place by place
                yield from differences_in("", recorded, replayed)
        if row.is_due is not None and (was_due := _was_due(row)) is not None and was_due != row.is_due:
            yield Difference("card", _due_words(was_due), _due_words(row.is_due))

    def _content(self, digest: str) -> Content | None:
        if digest not in self._contents:
            self._contents[digest] = read_content(self._url, digest) if digest else None
        return self._contents[digest]


def _was_due(row: Replayed) -> bool | None:
    """Returns whether the model's estimate reached the threshold then; None where another reason kept the card back."""
    reasons = {reason for subject, reason, _ in row.basis.silence if subject == row.basis.score_id}
    if _BELOW in reasons:
        return False
    return True if row.decision.outcome == "cards" or "said-once" in reasons else None


def _due_words(is_due: bool) -> str:
    return "due by the threshold" if is_due else "below the threshold"


def _not(row: Replayed, because: str) -> Replayed:
    return msgspec.structs.replace(row, because=because)
