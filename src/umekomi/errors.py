"""The whole error tree. A leaf: imports nothing of umekomi.

UmekomiError                    everything that umekomi raises on purpose
├── UserError                   the caller can mend it; exit code 2
│   ├── ConfigError             umekomi.yaml, an environment variable or a flag is wrong
│   ├── InvalidInput            a text or a parameter is wrong
│   │   └── InputTooLong        longer than the model's context under ``truncation="error"``, or than a limit
│   ├── InvalidKey              no API key, or one that is wrong, expired or revoked
│   ├── UnknownModel            no model of that name
│   ├── UnsupportedModel        the model is there, but its kind, files or settings are not supported
│   │   └── UnsupportedCapability   the model cannot do what was asked (chat on an embedding model)
│   ├── BrokenModel             a file of the model is missing, cut short or does not fit the others
│   └── MissingExtra            an optional dependency is not installed
├── SourceUnavailable           a hub or a package index could not be reached; exit code 3
├── StoreError                  the model store cannot be read or written (disk full, permissions); exit code 2
├── Overloaded                  the queue is full; try again later
│   └── RateLimited             an API key has used what it may use in a minute
├── Unavailable                 loading failed a moment ago, or the server is draining
├── EngineError                 a runtime failed while computing; exit code 1
│   └── GateFailed              an exported model gives other vectors than the one that it was made of
└── UpstreamError               another server that we relay to failed
    ├── UpstreamRefusal         it would not do this request, but may do others
    └── UpstreamTimeout         it did not answer in time

A message names the value, the limit and the next step. HTTP statuses live in ``serve/status.py``,
exit codes in ``cli/exit_codes.py``; a test walks this tree and fails on an unmapped class.
"""

from __future__ import annotations


class UmekomiError(Exception):
    """Base of every error raised on purpose. ``str(error)`` is one complete message for a person."""


class UserError(UmekomiError):
    """The caller can mend it."""


class ConfigError(UserError):
    """A configuration file, environment variable or flag is wrong."""


class InvalidInput(UserError):
    """A text or parameter is wrong. ``param`` names the parameter as the caller wrote it."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InputTooLong(InvalidInput):
    """A text has more tokens than a limit allows."""


class InvalidKey(UserError):
    """No API key where one is needed, or one that is wrong, expired or revoked. The message never repeats it."""


class UnknownModel(UserError):
    """No model of that name."""


class UnsupportedModel(UserError):
    """The model exists, but its architecture, files or settings are not supported."""


class UnsupportedCapability(UnsupportedModel):
    """The model cannot do what was asked of it."""


class BrokenModel(UserError):
    """A file of the model is missing, cut short, or does not fit the others. The message names the file."""


class MissingExtra(UserError):
    """An optional dependency is not installed. The message carries the install line."""


class SourceUnavailable(UmekomiError):
    """A hub or a package index could not be reached."""


class StoreError(UmekomiError):
    """The model store cannot be read or written."""


class Overloaded(UmekomiError):
    """The queue is full. ``retry_after_s`` says when to try again."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(Overloaded):
    """An API key has used what it may use in a minute. No other model is asked instead."""


class Unavailable(UmekomiError):
    """Not able to serve right now: loading failed a moment ago, or the server is draining."""

    def __init__(self, message: str, *, retry_after_s: float = 10.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineError(UmekomiError):
    """A runtime failed while computing."""


class GateFailed(EngineError):
    """An exported model gives other vectors than the one that it was made of. The message says on which text."""


class UpstreamError(UmekomiError):
    """Another server that we relay to failed.

    ``str(error)`` may name its address and repeat its words. ``public`` is what a stranger may be told, and
    ``may_pass`` whether the same request could succeed later.
    """

    def __init__(self, message: str, *, public: str | None = None, may_pass: bool = True) -> None:
        super().__init__(message)
        self.public = public
        self.may_pass = may_pass


class UpstreamRefusal(UpstreamError):
    """Another server would not do this request (a text too long for it, too many texts), but may do others."""


class UpstreamTimeout(UpstreamError):
    """Another server that we relay to did not answer in time."""
