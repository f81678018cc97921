"""The contract kit: judges any CDS Hooks server from outside, over HTTP, and shares no code with ours."""
