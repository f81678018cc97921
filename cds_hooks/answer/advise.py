"""Stage 4, advise: the service decides what it would say about this patient."""

from itertools import count

from cds_hooks.answer.call import Call
from cds_hooks.answer.hold_back import Advised, checked_call, choose_versions
from cds_hooks.answer.understand import Chart
from cds_hooks.hold_back.checks import CheckedCall
from cds_hooks.services import ServiceInput
from cds_hooks.services._service import no_card
from cds_hooks.storage.decision import numbered_uuid


async def advise(call: Call, chart: Chart) -> Advised:
    """Return the advice of the service; where it is not asked the reason only.

    Raises:
        HookError: The service cannot judge what it was sent.
    """
    config = call.components.in_force.digest_with(call.released)
    checked = checked_call(call, chart)  # asked before the service, which may release the record
    if chart.no_advice is not None:
        silence = chart.no_advice
        return Advised(chart, no_card(silence.subject, silence.reason, silence.text), checked, config)
    return Advised(chart, await call.service.decide(_service_input(call, chart, checked)), checked, config)


def _service_input(call: Call, chart: Chart, checked: CheckedCall) -> ServiceInput:
    numbers = count(1)
    request, record, components = chart.request, chart.record, call.components
    configured, decision_id = components.settings, call.decision_id
    return ServiceInput(
        request=request,
        record=record,
        card_uuid=lambda: numbered_uuid(decision_id, next(numbers)),
        thresholds=components.thresholds,
        kfre_region=configured.kfre_region,
        referral_risk=configured.referral_risk,
        max_drafts=configured.max_drafts,
        is_one_list=configured.visit_window > 0,
        public_url=configured.public_url,
        decision_id=decision_id,
        predict=call.predict,
        why_withheld=components.models.why_withheld,
        choose=choose_versions(call, record.patient_id),
        suppress=components.governance.check_findings(checked),
        prefetch=chart.prefetch,
        takes_system_actions=call.client.profile.takes_system_actions,
        sent=chart.originals,
    )
