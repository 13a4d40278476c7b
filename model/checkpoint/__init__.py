"""Finds, downloads, reads and writes checkpoint files."""
