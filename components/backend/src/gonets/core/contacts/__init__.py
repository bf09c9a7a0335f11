"""Contacts: people and their addresses."""
