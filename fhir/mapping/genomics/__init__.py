"""Results of pharmacogenetic tests: what a report says, and what it means for each gene."""
