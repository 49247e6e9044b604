"""The statistics: numbers in, numbers out; nothing here knows of texts, models or files."""
