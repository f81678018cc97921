"""The CDS Hooks wire: hooks and their contexts, requests, responses, discovery, feedback."""
