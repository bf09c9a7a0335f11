"""RabbitMQ: the second door, and the way results are told. Spoken through aiormq, aio-pika's own engine (ADR 004)."""
