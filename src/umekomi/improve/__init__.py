"""From documents to a proved model in one run: read, synthesize, train, prove, report."""
