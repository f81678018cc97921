"""Cases of the medication rules: small patients and drafts with what is right to say about them."""
