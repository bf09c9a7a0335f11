"""What no file of contacts needs more of."""

COLUMNS = 200
CELL = 10_000
"""Characters."""
LINE = 2**18
"""Bytes, of a line or of a quoted record of several."""
UNPACKED = 4 * 2**30
"""Bytes, of all parts of a workbook."""
RATIO = 200
"""Unpacked to packed bytes, of a part that is larger than a few megabytes."""
PARTS = 10_000
