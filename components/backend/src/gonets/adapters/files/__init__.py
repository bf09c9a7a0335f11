"""Files that people hand in: CSV, XLSX, and where they are stored."""
