"""`make bench`: what the service reaches, and what it is compared with (docs/performance.md)."""
