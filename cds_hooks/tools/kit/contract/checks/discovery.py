"""Rules for the discovery document, and for how it is answered."""

from collections import Counter

from cds_hooks.tools.kit.contract.assertions import optional
from cds_hooks.tools.kit.contract.connection import Purpose
from cds_hooks.tools.kit.contract.definitions import HOOK_VERSIONS, HOOKS
from cds_hooks.tools.kit.contract.document import SHOULD, Node, NotTested, Subject, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_part, check_server, check_service
from cds_hooks.tools.kit.contract.target import DISCOVERY, Service, Target


@check_server("DISC-01", "DISC-14")
def discovery_answers_get_with_200(target: Target) -> Faults:
    """Serve discovery by GET at {baseUrl}/cds-services with status 200, also behind a proxy's prefix."""
    if target.discovery.status != 200:
        hint = "; where discovery stands at another path, name it: --discovery PATH"
        yield target.discovery.fault(target.discovery.answer + (hint if target.discovery.status == 404 else ""))


@check_server("DISC-01", level=SHOULD)
def discovery_is_the_same_twice(target: Target) -> Faults:
    """Answer discovery from what is configured, so that two reads of an unchanged server agree."""
    target.observe_discovery()
    first, second = target.discovery, target.connection.get(DISCOVERY, "discovery again", Purpose.DISCOVERY)
    if first.document.value is not None and first.document.value != second.document.value:
        yield second.fault("the second answer differs from the first")


@check_server("DISC-01", level=SHOULD)
def head_and_options_on_discovery_do_not_fail(target: Target) -> Faults:
    """Answer HEAD and OPTIONS with any status under 500: proxies and browsers send them."""
    target.observe_discovery()
    for method in ("HEAD", "OPTIONS"):
        exchange = target.connection.send(method, DISCOVERY, f"{method} of discovery")
        if exchange.status >= 500 or not exchange.status:
            yield exchange.fault(exchange.answer)


@check_part(Subject.ENTRY, "DISC-11", level=SHOULD)
def hook_version_is_a_published_one(entry: Node) -> Faults:
    """Send as hookVersion what the published definition of the hook says, or leave it out."""
    yield from optional(entry, "hookVersion")
    published_versions, text = HOOK_VERSIONS.get(entry.text("hook")), entry.text("hookVersion")
    if published_versions and text and text not in published_versions:
        yield entry.at("hookVersion").fault(f"hookVersion is {text!r}; published: {' or '.join(published_versions)}")


@check_part(Subject.DISCOVERY, "DISC-12")
def versions_of_one_hook_have_an_id_each(document: Node) -> Faults:
    """List each version of a hook under an id of its own."""
    observe(any(document.objects("services")), "no service is listed")
    versions: dict[tuple[str, str], set[str]] = {}
    for entry in document.objects("services"):
        pair = (entry.text("hook"), entry.text("id"))
        versions.setdefault(pair, set()).add(entry.text("hookVersion"))
        if len(versions[pair]) > 1:
            yield entry.fault(f"{pair[1]} serves several versions of {pair[0]}")


@check_service("DISC-07", "DISC-17")
def a_listed_service_can_be_called(service: Service) -> Faults:
    """Serve every listed id at {baseUrl}/cds-services/{id}."""
    for call in service.calls[:1]:
        if call.exchange.status in (404, 405):
            yield call.exchange.fault(call.exchange.answer)


@check_server("DISC-13", "DISC-07")
def an_id_answers_every_hook_it_is_listed_for(target: Target) -> Faults:
    """Route by hook and id together: a registry keyed by id alone loses all entries but one."""
    listed = Counter(service.id for service in target.services)
    shared = [service for service in target.services if listed[service.id] > 1 and service.hook in HOOKS]
    if not shared:
        raise NotTested("no id is listed for several hooks")
    for service in shared:
        if service.calls and not any(call.exchange.ok for call in service.calls):
            yield service.calls[0].exchange.fault(f"no call was accepted: {service.calls[0].exchange.answer}")
