"""What a clinician reads: cards, words, rules."""
