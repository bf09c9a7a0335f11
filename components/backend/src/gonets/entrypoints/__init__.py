"""The processes: start, wire, run."""
