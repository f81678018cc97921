"""What every stage of a call is given: the parts of the server, who calls which service, and where it is computed."""

from datetime import UTC, datetime
from time import perf_counter
from typing import Final

from msgspec import Struct

from cds_hooks.call.components import ServerComponents
from cds_hooks.call.hold_back.released import Released
from cds_hooks.call.security.trust import TrustedClient
from cds_hooks.call.services import Advisor, Service
from cds_hooks.call.services._model import Predict
from cds_hooks.telemetry.tracing import CallTrace
from models_onnx.serving.runtime import Model

SENT_AS_TRIAL: Final = "cds_hooks.trial"
"""Member of the ASGI scope of a call that /try sends within this process; no client can set it."""


class Stopwatch:
    """How long each stage of one call took."""

    __slots__ = ("_last", "_trace", "seconds")

    def __init__(self, trace: CallTrace | None) -> None:
        self.seconds: dict[str, float] = {}
        self._trace = trace
        self._last = perf_counter()

    def end(self, name: str) -> None:
        """Note the time since the stage before this one ended."""
        now = perf_counter()
        self.seconds[name] = now - self._last
        if self._trace is not None:
            self._trace.stage(name, self._last, now)
        self._last = now

    @property
    def milliseconds(self) -> dict[str, float]:
        """Rounded to microseconds."""
        return {name: round(seconds * 1000, 3) for name, seconds in self.seconds.items()}


class Call(Struct, frozen=True, kw_only=True):
    """One call: who calls which service, as of when, and what may show cards until its end."""

    service: Service
    client: TrustedClient
    components: ServerComponents
    stages: Stopwatch
    decision_id: str
    as_of: datetime
    released: Released
    """What may show cards, to the end of this call; the digest of what is in force with it is recorded."""
    predict: Predict = Model.predict
    trace: CallTrace | None = None
    from_event: bool = False
    """Whether no client waits for the answer: an event made the call (`cds_hooks/add_ons/events/rescoring.py`)."""
    is_trial: bool = False
    """Whether it was sent from /try or is about a sample patient: recorded as a trial, not counted or remembered."""
    silent_user: str | None = None
    """Why the user of this call is shown nothing, where that is known without a name."""

    def advisors(self, hook: str) -> tuple[Advisor, ...]:
        """Return the advisors that are asked for this client: all of the service, or those it is registered for."""
        return self.client.permitted(self.service.id, self.service.advisors_by_hook[hook])


def open_call(
    service: Service,
    client: TrustedClient,
    components: ServerComponents,
    decision_id: str,
    trace: CallTrace | None = None,
    *,
    is_trial: bool = False,
) -> Call:
    """Return the call that came in, which is recorded under `decision_id`."""
    released = components.releases.current
    return Call(
        service=service,
        client=client,
        components=components,
        predict=Model.predict if trace is None else trace.timed("model", Model.predict),
        stages=Stopwatch(trace),
        decision_id=decision_id,
        as_of=components.settings.as_of or datetime.now(UTC),
        released=released,
        trace=trace,
        is_trial=is_trial,
    )
