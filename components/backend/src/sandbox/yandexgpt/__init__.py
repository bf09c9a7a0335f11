"""YandexGPT: text generation over gRPC and REST."""
