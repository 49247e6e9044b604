"""Bytes to requests and vectors to bytes. Knows JSON and OpenAI's shapes, nothing of models or sockets."""
