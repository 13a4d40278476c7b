"""The HTTP edge: how bytes get in and out."""
