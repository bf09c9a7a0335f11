"""Channels: configured ways to reach people, and the words for what comes of sending."""
