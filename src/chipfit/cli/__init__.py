"""The command line. Arguments in, one call of the API, a report out; nothing else is decided here."""

from chipfit.cli._app import app, main

__all__ = ["app", "main"]
