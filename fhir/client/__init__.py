"""Reads from a FHIR server: one resource or a search with all its pages, within a deadline and bounds."""

from fhir.client.bounds import Bounds
from fhir.client.client import FhirClient, Found
from fhir.client.errors import FetchError
from fhir.client.query import Query, Read, Search

__all__ = ["Bounds", "FetchError", "FhirClient", "Found", "Query", "Read", "Search"]
