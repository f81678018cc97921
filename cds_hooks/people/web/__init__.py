"""Pages for people: what a recorded decision rests on, what a model is for, what this server offers."""
