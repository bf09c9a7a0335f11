"""Gonets: an integration and notification service on RabbitMQ, built as a hexagon (see docs/architecture.md)."""
