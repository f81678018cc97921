"""Pages for people (being written)."""

from fastapi import APIRouter

from cds_hooks.invoke import Parts
from cds_hooks.service import Service
from cds_hooks.settings import Settings


def page_routes(configured: Settings, services: dict[str, Service], parts: Parts) -> APIRouter:
    """The pages of this server."""
    del configured, services, parts
    return APIRouter()
