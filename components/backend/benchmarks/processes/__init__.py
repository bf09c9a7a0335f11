"""The processes that are measured, or that are measured against; each runs by `python -m`."""
