"""The text part tried on a folder of notes, charts and questions: `python -m tests.text predict FOLDER --out OUT`."""
