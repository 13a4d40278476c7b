"""How a job over many files is computed once: inputs, identity, parts, and resuming. No HTTP, no Ray.

The commands that read many files use the same decoding and the same towers.
"""


class BatchError(Exception):
    """A job, or the computation of many files, cannot go on. The message is for people."""


class BatchMistake(BatchError):
    """What was asked for cannot be computed: another request is needed."""
