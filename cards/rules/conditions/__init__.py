"""The words of conditions: each is one object with its reader, its JSON Schema, its wording and its data needs."""
