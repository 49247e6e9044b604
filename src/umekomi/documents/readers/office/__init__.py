"""Office Open XML: ZIP packages of XML parts, opened with suspicion."""
