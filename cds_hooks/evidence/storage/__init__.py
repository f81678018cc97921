"""The decision record: every decision is committed here before its answer is sent."""
