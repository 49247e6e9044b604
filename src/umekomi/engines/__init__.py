"""How a batch runs: one file or folder per runtime, none knowing of another or of roles.

All but `remote` are synchronous, and know nothing of HTTP.
"""
