"""Tables of the product against something that is not themselves."""
