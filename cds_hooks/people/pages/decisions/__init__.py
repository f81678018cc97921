"""The pages /decisions: the search in the record, and what happened around one decision."""
