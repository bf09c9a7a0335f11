"""A plain SMS gateway: JSON over HTTP behind a bearer JWT."""
