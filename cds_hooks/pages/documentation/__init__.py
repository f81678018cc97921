"""The documentation at /docs/, and the API reference at /api with its document /openapi.json."""
