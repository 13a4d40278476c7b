"""Label sets in a real Redis."""
