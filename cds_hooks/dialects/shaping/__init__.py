"""What every dialect is made with: the client's profile, links, words, versions of the protocol."""
