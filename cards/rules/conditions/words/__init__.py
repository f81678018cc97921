"""The common words of conditions: each module declares its own as WORDS, and they are found there."""
