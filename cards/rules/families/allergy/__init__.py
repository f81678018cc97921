"""Rules about allergies and intolerances."""
