"""The server under test: its discovery, read once, and the services found there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from cds_hooks.contract.charts import Chart
from cds_hooks.contract.connection import Connection
from cds_hooks.contract.dialects import DIALECTS, Dialect
from cds_hooks.contract.exchange import Exchange, Purpose
from cds_hooks.contract.finding import NotTested
from cds_hooks.contract.node import Node
from cds_hooks.contract.service import Service


@dataclass
class Target:
    """What a check of the whole server is handed.

    `origin` is the web origin that CORS is tried with. `fhir_host` is the name by which the server reaches this
    machine; empty: the server is offered no FHIR server to read from.
    """

    connection: Connection
    charts: Sequence[Chart]
    as_of: datetime
    dialect: Dialect = DIALECTS["standard"]
    origin: str = "https://sandbox.cds-hooks.org"
    fhir_host: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        return self.connection.is_local

    @cached_property
    def discovery(self) -> Exchange:
        """The answer to GET /cds-services."""
        return self.connection.get("/cds-services", "discovery", Purpose.DISCOVERY)

    @property
    def document(self) -> Node:
        """The discovery document."""
        return Node(self.discovery.document.value)

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """Every entry that can be called: with a hook and an id."""
        return tuple(
            Service(entry.value, self.connection, self.charts, self.dialect, self.as_of, self.fhir_host)
            for entry in self.document.objects("services")
            if entry.text("hook") and _callable(entry.value.get("id"))
        )

    @property
    def any_service(self) -> Service:
        """One service; NotTested where there is none."""
        if not self.services:
            raise NotTested("discovery lists no service that can be called")
        return self.services[0]


def _callable(identifier: Any) -> bool:
    return isinstance(identifier, str) and bool(identifier) and quote(identifier, safe="-._~") == identifier
