"""The guides of docs/adding, each followed step by step in a temporary copy of the repository."""
