"""The medication rules: their language, the patient they ask about, their conditions, the engine, the families."""
