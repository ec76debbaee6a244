"""Checkpoints: all that a run needs to go on, in one file."""
