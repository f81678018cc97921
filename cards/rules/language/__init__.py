"""The language of a rule's file: its typed form, drug selectors, triggers, texts with placeholders."""
