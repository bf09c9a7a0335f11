"""Templates: texts with variables, kept in versions."""
