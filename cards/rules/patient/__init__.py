"""What rules know of one patient and the drafts of one session."""
