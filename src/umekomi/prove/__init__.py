"""Whether training made a model better at its subject, and what it lost elsewhere: measured and judged."""
