"""How a batch runs: one file or folder per runtime, none knowing of another, of roles, HTTP or asyncio."""
