"""The command: each file parses, calls the library and renders. Heavy imports wait until a command runs."""
