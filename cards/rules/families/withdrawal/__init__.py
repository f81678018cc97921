"""Ends of drugs that labels want tapered, replaced or watched: drafts that stop or withhold what is taken."""
