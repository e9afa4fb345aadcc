"""A search for the most accurate network that keeps to a board and its limits.

``space`` says what is tried, ``compression`` what may follow a training there, ``cost`` what each candidate needs on
the board, before it is trained; ``study`` is Optuna's choice of the next ones, ``trial`` trains and judges one,
``workers`` does so here or on other computers; ``run`` does it all, ``report`` is what came of it.
"""

from chipfit.search.report import SearchReport, Trial
from chipfit.search.run import Listener, Request, search
from chipfit.search.space import Point, Space, read_space, space_names

__all__ = ["Listener", "Point", "Request", "SearchReport", "Space", "Trial", "read_space", "search", "space_names"]
