"""Evidence that outlives the database: signed seals of the record, and verification against them."""
