"""Advisors find, services answer: each public module here declares one `ADVISOR`, and `services.toml` maps them.

A module is found by being there (docs/adding/service.md). A service is an endpoint of CDS Hooks with its advisors.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

from msgspec import Struct

from cds_hooks.call.model_versions import ModelVersions, find_model_versions
from cds_hooks.call.protocol.hooks.declared import DeclaredHook, WrongDeclaration, read_declarations
from cds_hooks.call.services._service import Advice, Advisor, Service, ServiceInput
from cds_hooks.call.trusted_models import trust_site_keys
from cds_hooks.settings import Settings
from fhir.record.site_file import read_toml_as
from fhir.terminology.toml_file import TomlFault
from models_onnx.declarations import find_declared
from models_onnx.errors import DeclarationError
from models_onnx.packages import Package, packages

__all__ = [
    "Advice",
    "Advisor",
    "Service",
    "ServiceInput",
    "by_address",
    "every_service",
    "find_advisors",
    "find_services",
    "services_for",
    "services_of",
    "versions_for",
]

SEPARATE: Final = "separate"
"""The name of the shipped file in which every advisor is a service of its own."""
_FOLDER: Final = Path(__file__).parent


def find_advisors(model_keys: Path | None = None, site_folder: Path | None = None) -> dict[str, Advisor]:
    """Return every advisor of this package, of packages from outside, and of the site's own folder, by id.

    `model_keys` is the file of public keys whose models this site trusts beside the maintainers'; `site_folder` the
    folder of its models and of the services that it declares as data.

    Raises:
        DeclarationError: A module or file declares no usable advisor.
    """
    trust_site_keys(model_keys)  # before an advisor loads its model
    advisors = dict(_advisors_with(packages()))
    if site_folder is not None:
        # Nothing of services that are declared as data is imported where there is no folder of them.
        from cds_hooks.call.services._declared import declared_services

        for advisor, file in declared_services(site_folder):
            if advisor.id in advisors:
                raise file.fault(f"the id {advisor.id!r} is already that of another service", advisor.id)
            advisors[advisor.id] = advisor
    return advisors


@cache
def _advisors_with(_packages: tuple[Package, ...]) -> dict[str, Advisor]:
    return find_declared(__name__, "ADVISOR", Advisor)


class _ServiceEntry(Struct, forbid_unknown_fields=True):
    advisors: tuple[str, ...]
    id: str = ""
    title: str = ""
    description: str = ""
    usage_requirements: str = ""


class _ServicesFile(Struct, forbid_unknown_fields=True):
    service: tuple[_ServiceEntry, ...] = ()


def services_of(advisors: Mapping[str, Advisor], file: str | Path | None = None) -> dict[str, Service]:
    """Return the services of a file, and one for each advisor that it does not name; without a file the default.

    Raises:
        DeclarationError: The file cannot be read, or names an advisor that there is not, or one twice.
    """
    path = _FOLDER / "services.toml" if file is None else _FOLDER / "separate.toml" if str(file) == SEPARATE else file
    try:
        entries = read_toml_as(Path(path), _ServicesFile).service
    except TomlFault as error:
        choice = "CDS_SERVICES names such a file, or is the word separate"
        raise DeclarationError(f"{path}: the file of services {error}. {choice}") from error
    services: dict[str, Service] = {}
    remaining = dict(advisors)
    for entry in entries:
        unknown = [name for name in entry.advisors if name not in advisors]
        if unknown or not entry.advisors:
            what = f"there is no advisor {unknown[0]!r}" if unknown else "a service needs advisors"
            raise DeclarationError(f"{path}: {what}; there are {', '.join(advisors)}")
        if twice := [
            name for at, name in enumerate(entry.advisors) if name not in remaining or name in entry.advisors[:at]
        ]:
            raise DeclarationError(f"{path}: the advisor {twice[0]!r} stands in two services")
        service = _service(entry, tuple(remaining.pop(name) for name in entry.advisors))
        if service.id in services:
            raise DeclarationError(f"{path}: the id {service.id!r} is that of two services")
        services[service.id] = service
    if duplicates := [name for name in remaining if name in services]:
        raise DeclarationError(f"{path}: {duplicates[0]!r} is the id of a service and of an advisor that is not in it")
    return services | {name: Service.of(advisor) for name, advisor in remaining.items()}


def _service(entry: _ServiceEntry, advisors: tuple[Advisor, ...]) -> Service:
    alone = Service.of(advisors[0])
    if len(advisors) == 1 and not entry.id:
        return alone
    return Service(
        entry.id or alone.id,
        entry.title or alone.title,
        entry.description or alone.description,
        entry.usage_requirements or alone.usage_requirements,
        advisors,
    )


def find_services(
    declared: Iterable[DeclaredHook] = (),
    model_keys: Path | None = None,
    site_folder: Path | None = None,
    file: str | Path | None = None,
) -> dict[str, Service]:
    """Return the services of a services file by id, with the hooks that a site declares.

    Raises:
        DeclarationError: An advisor or the file declares no usable service.
        WrongDeclaration: A declared hook names a service that is not there or cannot answer it.
    """
    return _answering(services_of(find_advisors(model_keys, site_folder), file), declared)


def _answering(services: dict[str, Service], declared: Iterable[DeclaredHook]) -> dict[str, Service]:
    for hook in declared:
        for name in hook.services:
            named_service = next((service for service in services.values() if name in service.names), None)
            if named_service is None:
                raise WrongDeclaration(
                    f"{hook.hook.name}: there is no service {name}; there are {', '.join(services)}."
                )
            services[named_service.id] = named_service.answering(hook)
    return services


def services_for(configured: Settings) -> dict[str, Service]:
    """Return the services of a server with these settings; raises what `find_services` raises."""
    file = configured.hooks_file
    declared = read_declarations(file) if file is not None else ()
    advisors = find_advisors(configured.model_keys, configured.models_folder)
    if configured.text_file is not None:
        import_module("cds_hooks.add_ons.text.endpoint").read_text_file(configured.text_file)
        of_notes: Advisor = import_module("cds_hooks.add_ons.text.disagreements").ADVISOR
        advisors[of_notes.id] = of_notes
    if configured.knowledge is not None:
        # Nothing of published knowledge is imported where there is no folder of it.
        for plan in import_module("cds_hooks.call.services._knowledge").knowledge_advisors(configured.knowledge):
            if plan.id in advisors:
                raise DeclarationError(f"the published artifact {plan.id} has the id of another service", plan.id)
            advisors[plan.id] = plan
    if configured.asks_opt_outs:
        consent_types = {"Consent", "Flag"} if configured.opt_out_codes else {"Consent"}
        advisors = {
            name: advisor if advisor.warns_of_harm else advisor.asking_for(consent_types)
            for name, advisor in advisors.items()
        }
    known_models = {
        model.manifest.id
        for advisor in advisors.values()
        if advisor.of_chart is not None
        for model in advisor.of_chart.loaded
    }
    absent = {model.name for advisor in advisors.values() for model in advisor.absent_models}
    for name in configured.shares_by_model:
        if name not in known_models | absent:
            text = f"CDS_ALERT_SHARE: no service shows a model {name}; there are {', '.join(sorted(known_models))}"
            raise DeclarationError(text)
    return _answering(services_of(advisors, configured.services), declared)


def every_service(services: Mapping[str, Service]) -> dict[str, Service]:
    """Return these services with those under the names of their advisors, which a site or a decision may still have."""
    advisors = {advisor.id: advisor for service in services.values() for advisor in service.advisors}
    return {**services_of(advisors), **services_of(advisors, SEPARATE), **services}


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
