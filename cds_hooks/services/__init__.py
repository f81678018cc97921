"""CDS services: each public module here declares one `SERVICE` and is found by being there (docs/adding/service.md)."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

from cds_hooks.model_versions import ModelVersions, find_model_versions
from cds_hooks.protocol.hooks import DeclaredHook, WrongDeclaration, read_declarations
from cds_hooks.services._service import Advice, Service, ServiceInput
from cds_hooks.settings import Settings
from cds_hooks.trusted_models import trust_site_keys
from models_onnx.declarations import find_declared
from models_onnx.errors import DeclarationError
from models_onnx.packages import Package, packages

__all__ = [
    "Advice",
    "Service",
    "ServiceInput",
    "by_address",
    "find_services",
    "services_for",
    "services_with",
    "versions_for",
]


def find_services(
    declared: Iterable[DeclaredHook] = (), model_keys: Path | None = None, site_folder: Path | None = None
) -> dict[str, Service]:
    """Every service of this package, and of the site's own folder, by id, with the hooks that a site declares.

    `model_keys` is the file of public keys whose models this site trusts beside the maintainers'; `site_folder` the
    folder of its models and of the services that it declares as data.

    Raises:
        DeclarationError: A module declares no usable service.
        WrongDeclaration: A declared hook names a service that is not there or cannot answer it.
    """
    trust_site_keys(model_keys)  # before a service loads its model
    if not declared and site_folder is None:
        return dict(services_with(packages()))
    services = find_declared(__name__, "SERVICE", Service)
    if site_folder is not None:
        # Nothing of services that are declared as data is imported where there is no folder of them.
        from cds_hooks.services._declared import declared_services

        for service, file in declared_services(site_folder):
            if service.id in services:
                raise file.fault(f"the id {service.id!r} is already that of another service", service.id)
            services[service.id] = service
    for hook in declared:
        for name in hook.services:
            if name not in services:
                raise WrongDeclaration(
                    f"{hook.hook.name}: there is no service {name}; there are {', '.join(services)}."
                )
            services[name] = services[name].answering(hook)
    return {name: service.seeing_visit(services.values()) for name, service in services.items()}


@cache
def services_with(_packages: tuple[Package, ...]) -> dict[str, Service]:
    """Return the services of this package and of these packages from outside, each of which sees the visit."""
    services = find_declared(__name__, "SERVICE", Service)
    return {name: service.seeing_visit(services.values()) for name, service in services.items()}


def services_for(configured: Settings) -> dict[str, Service]:
    """Return the services of a server with these settings; raises what `find_services` raises."""
    file = configured.hooks_file
    declared = read_declarations(file) if file is not None else ()
    services = find_services(declared, configured.model_keys, configured.models_folder)
    if configured.text_file is not None:
        of_notes: Service = import_module("cds_hooks.text.disagreements").SERVICE
        services[of_notes.id] = of_notes
    if configured.knowledge is not None:
        # Nothing of published knowledge is imported where there is no folder of it.
        knowledge_services = import_module("cds_hooks.services._knowledge").knowledge_services
        for service in knowledge_services(configured.knowledge):
            if service.id in services:
                text = f"the published artifact {service.id} has the id of another service"
                raise DeclarationError(text, service.id)
            services[service.id] = service
    if configured.asks_opt_outs:
        consent_types = {"Consent", "Flag"} if configured.opt_out_codes else {"Consent"}
        services = {
            name: service if service.warns_of_harm else service.asking_for(consent_types)
            for name, service in services.items()
        }
    known_models = {
        model.manifest.id
        for service in services.values()
        if service.of_chart is not None
        for model in service.of_chart.loaded
    }
    absent = {model.name for service in services.values() for model in service.absent_models}
    for name in configured.shares_by_model:
        if name not in known_models | absent:
            text = f"CDS_ALERT_SHARE: no service shows a model {name}; there are {', '.join(sorted(known_models))}"
            raise DeclarationError(text)
    return services


def versions_for(configured: Settings, services: Mapping[str, Service]) -> ModelVersions:
    """Return the versions of models that lie beside those in use of these services."""
    return find_model_versions(
        (model for service in services.values() for model in service.models), configured.models_folder
    )


def by_address(services: Mapping[str, Service]) -> dict[str, Service]:
    """Return the services by each id that a call may name: a service's answers all its hooks, a listed id only one."""
    addressed = dict(services)
    for service in services.values():
        for hook in service.hooks:
            if (listed := service.listed_id(hook)) not in addressed:
                addressed[listed] = service.for_hook(hook)
    return addressed
