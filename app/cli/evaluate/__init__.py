"""`siglip evaluate`: how good the scores are on labelled images, and which of several choices is better."""

from app.cli.evaluate.command import main

__all__ = ["main"]
