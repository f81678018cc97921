"""The words of conditions: each is one object with its reader, the type of its value, wording and data needs."""
