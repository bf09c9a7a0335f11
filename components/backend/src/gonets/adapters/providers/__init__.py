"""The outside services, each behind the port that asks it. Their codes are tables beside the adapter."""
