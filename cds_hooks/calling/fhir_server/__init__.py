"""A FHIR R4 server over charts on disk, well-behaved or not: for trying and testing what reads from one."""

from cds_hooks.calling.fhir_server.app import fhir_server
from cds_hooks.calling.fhir_server.behaviour import MODES, Behaviour, Mode
from cds_hooks.calling.fhir_server.log import RequestLog

__all__ = ["MODES", "Behaviour", "Mode", "RequestLog", "fhir_server"]
