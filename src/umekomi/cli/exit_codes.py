"""Errors to exit codes: one table, from which the first class that fits counts."""

from __future__ import annotations

from umekomi import errors

INTERRUPTED = 130

CANNOT_REPLACE = 4
"""A comparison was made, and the new one cannot take the place of the old: other vectors, or a worse model."""

EXIT_CODES: dict[type[errors.UmekomiError], int] = {
    errors.UserError: 2,
    errors.StoreError: 2,
    errors.SourceUnavailable: 3,
    errors.UpstreamError: 3,
    errors.Overloaded: 3,
    errors.Unavailable: 3,
    errors.EngineError: 1,
}


def exit_code(error: errors.UmekomiError) -> int:
    """1: a runtime failed; 2: the caller can mend it; 3: something outside could not be reached or was busy."""
    return next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind))
