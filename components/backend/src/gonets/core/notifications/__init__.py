"""Notifications: one message to one person, through an ordered route of channels, with a truthful status."""
