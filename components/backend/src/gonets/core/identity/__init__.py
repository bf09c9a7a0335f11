"""Identity: users, their sessions, and API keys for programs."""
