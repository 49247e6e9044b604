"""What a request passes on its way in: connection, framing, origin, body, priority."""
