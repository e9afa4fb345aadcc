"""remove_dead: what nobody reads goes, what writes state stays."""

from __future__ import annotations

from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.split import Split
from chipfit.passes import REMOVE_DEAD
from passes.chains import Builder, ops_of


def test_a_dead_branch_goes_as_a_whole() -> None:
    b = Builder()
    x = b.input(4)
    y = b.add(Relu(), x)
    b.add(Reshape((2, 2)), b.add(Relu(), b.add(Relu(), y)))
    graph = b.done(y)
    report = REMOVE_DEAD.run(graph)
    assert ops_of(graph) == ["relu"]
    assert report.changes == ["removed reshape 't3'", "removed relu 't2'", "removed relu 't1'"]


def test_a_node_stays_for_one_of_its_outputs() -> None:
    b = Builder()
    graph = b.done(b.add(Split(0, (1, 3)), b.input(4)))
    assert REMOVE_DEAD.run(graph).changes == []
    assert ops_of(graph) == ["split"]


def test_writing_state_is_no_dead_work_but_reading_may_be() -> None:
    b = Builder()
    x = b.input(4)
    b.state("s", x.type)
    b.read("s")
    b.write("s", b.add(Relu(), x))
    graph = b.done(b.add(Relu(), x))
    REMOVE_DEAD.run(graph)
    assert ops_of(graph) == ["relu", "assign_variable", "relu"]
