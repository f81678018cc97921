"""What the rules of a hospital may ask beside the common words: its own knowledge base."""
