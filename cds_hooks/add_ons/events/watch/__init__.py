"""The watch over the interfaces: what is expected of each feed, what departs from it, and incidents."""
