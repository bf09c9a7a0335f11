"""The composition: the only place that knows everything, a container for each process, each read top to bottom.

They are apart so that each process loads only what it runs: no SQLAlchemy in the worker, no provider's SDK in the API.
"""
