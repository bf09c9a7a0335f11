"""Read-only questions; nothing here changes anything."""
