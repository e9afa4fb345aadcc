"""How recurrent layers run on a chip: as a loop, unrolled, or a step for each call; and with what state they begin."""

from __future__ import annotations

from typing import Literal, get_args

from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from chipfit.recurrent.state import STATE_MODES, StateMode, free_states, with_state
from chipfit.recurrent.steps import with_steps
from chipfit.recurrent.unroll import unroll

Form = Literal["loop", "unroll", "step"]
"""``loop``: a loop over the steps. ``unroll``: the nodes of all steps, for tools that know no loops. ``step``: one step
for each call."""

FORMS: tuple[Form, ...] = get_args(Form)

__all__ = [
    "FORMS",
    "STATE_MODES",
    "Form",
    "StateMode",
    "deploy",
    "free_states",
    "unroll",
    "with_state",
    "with_steps",
]


def deploy(graph: Graph, form: Form = "loop", state: StateMode | None = None, steps: int | None = None) -> Graph:
    """The graph in another form; its stored integers stay the same in all of them. The given graph is not changed.

    ``state``: default ``kept`` for ``step``, else ``reset``. ``steps``: of each call, default all, 1 for ``step``.
    Raises ChipfitError U001 for what there is not, O002 where a layer looks at several steps at once.
    """
    if form not in FORMS:
        raise ChipfitError("U001", f"'{form}' is no form of recurrent layers", f"one of {', '.join(FORMS)}")
    if form == "step":
        steps = 1 if steps is None else steps
        state = state or "kept"
        if state == "reset":
            raise ChipfitError("U001", "a model that is called for each step keeps its state", "use kept or io")
    if steps is not None:
        graph = with_steps(graph, steps)
    graph = with_state(graph, state or "reset")
    return graph if form == "loop" else unroll(graph)
