"""The pages /explain: why a decision was as it was."""
