"""Campaigns: one message to many."""
