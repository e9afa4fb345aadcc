"""Frameworks that are imported for chipfit alone say nothing while they load."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager

LOG_LEVEL = {"TF_CPP_MIN_LOG_LEVEL": "2"}
"""Environment in which the C++ parts of TensorFlow log errors, and little else."""

_LOGGERS = ("absl", "jax", "tensorflow", "torch")


@contextmanager
def quiet() -> Generator[None]:
    """While frameworks are imported: environment, loggers and filters of warnings are as before afterwards.

    Whoever has set a level of logging keeps it. Errors are exceptions, and come out.
    """
    added = {key: value for key, value in LOG_LEVEL.items() if key not in os.environ}
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    silenced = [logger for logger in loggers if logger.level == logging.NOTSET]
    os.environ.update(added)
    for logger in silenced:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), _python_alone_is_heard():
            warnings.simplefilter("ignore")
            yield
    finally:
        for key in added:
            os.environ.pop(key, None)
        for logger in silenced:
            # what the framework itself has set meanwhile stays
            if logger.level == logging.ERROR:
                logger.setLevel(logging.NOTSET)


@contextmanager
def _python_alone_is_heard() -> Generator[None]:
    """What libraries write to file descriptor 2 goes nowhere; what is written to ``sys.stderr`` does not change.

    TensorFlow writes notes for its own developers there, whatever its level of logging.
    """
    own = sys.stderr
    try:
        own.flush()
        is_own = own.fileno() == 2
        kept = os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is no such file, or sys.stderr is another one
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    heard = os.fdopen(os.dup(kept), "w", buffering=1, encoding=own.encoding, errors=own.errors) if is_own else own
    try:
        os.dup2(nowhere, 2)
        sys.stderr = heard
        yield
    finally:
        if sys.stderr is heard:
            sys.stderr = own
        if heard is not own:
            heard.close()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
