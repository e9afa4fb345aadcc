"""Which values lie in others and which in storage, why not, and what is left to do: one small graph for each rule."""

from __future__ import annotations

import pytest

from chipfit.graph import Graph, Node
from chipfit.plan import schedule
from chipfit.plan.views import before_assign, calls_to_make, find_views, nodes_without_work, storage_bytes
from plan.moves import graph_of_text


def shown(graph: Graph) -> dict[str, str]:
    """``{view: "root+offset"}``; the storage of a variable is shown as ``$name``."""
    return {
        view.name: f"{'$' + at.root if isinstance(at.root, str) else at.root.name}+{at.offset}"
        for view, at in find_views(graph).items()
    }


def views_of(text: str) -> dict[str, str]:
    return shown(graph_of_text(text))


def idle(graph: Graph) -> set[str]:
    return {node.name for node in nodes_without_work(graph, find_views(graph))}


def left(graph: Graph) -> dict[str, int]:
    """Copies that are left to do, by node."""
    views = find_views(graph)
    return {node.name: len(calls) for node in graph.nodes if (calls := calls_to_make(node, views))}


def order_of(graph: Graph) -> list[str]:
    return [node.name for node in schedule(graph)]


# ---------------------------------------------------------------------------------------- outputs in their source


def test_views_of_views_are_views_of_the_root() -> None:
    assert views_of("""
        input %x : int8[4,8]
        %a : int8[4,8] = mix(%x) {shape=(4, 8)}
        %b : int8[8,4] = reshape(%a) {shape=(8, 4)}
        %c : int8[5,4] = slice(%b) {begin=(2, 0), size=(5, 4)}
        %d : int8[2,4] = slice(%c) {begin=(1, 0), size=(2, 4)}
        %y : int8[1] = mix(%d) {shape=(1,)}
        output %y
    """) == {"b": "a+0", "c": "a+8", "d": "a+12"}


@pytest.mark.parametrize(
    ("line", "offset"),
    [
        ("%v : int8[1,2,4] = slice(%x) {begin=(0, 3, 0), size=(1, 2, 4)}", 12),
        ("%v : int8[1,2,4] = strided_slice(%x) {begin=(0, 1, 0), end=(1, 3, 4), strides=(1, 1, 1)}", 4),
        ("%v : int8[4] = strided_slice(%x) {begin=(0, 2, 0), end=(1, 3, 4), strides=(1, 1, 1), shrink_axes=(0, 1)}", 8),
        ("%v : int8[1,1,4] = strided_slice(%x) {begin=(0, 1, 0), end=(1, 5, 4), strides=(1, 4, 1)}", 4),
        ("%v : int8[5,1,4] = transpose(%x) {perm=(1, 0, 2)}", 0),
        ("%v : int8[5,4] = squeeze(%x) {axes=(0,)}", 0),
        ("%v : int8[1,5,4] = concatenation(%x) {axis=2}", 0),
        ("%v : int8[1,2,3] = slice(%x) {begin=(0, 1, 0), size=(1, 2, 3)}", None),
        ("%v : int8[1,2,4] = strided_slice(%x) {begin=(0, 0, 0), end=(1, 4, 4), strides=(1, 2, 1)}", None),
        ("%v : int8[1,2,4] = strided_slice(%x) {begin=(0, 4, 0), end=(1, 2, 4), strides=(1, -1, 1)}", None),
        ("%v : int8[1,4,5] = transpose(%x) {perm=(0, 2, 1)}", None),
    ],
)
def test_one_piece_of_the_operand(line: str, offset: int | None) -> None:
    graph = graph_of_text(f"""
        input %in : int8[20]
        %x : int8[1,5,4] = mix(%in) {{shape=(1, 5, 4)}}
        {line}
        %y : int8[1] = mix(%v) {{shape=(1,)}}
        output %y
    """)
    assert shown(graph) == ({} if offset is None else {"v": f"x+{offset}"})
    assert idle(graph) == (set() if offset is None else {"v"})


def test_pieces_of_the_outermost_axis() -> None:
    graph = graph_of_text("""
        input %x : int8[1,3,8]
        %a : int8[1,1,8], %b : int8[1,2,8] = split(%x) {axis=1, sizes=(1, 2)}
        %c : int8[1,8], %d : int8[1,8] = unpack(%b) {axis=1}
        %e : int8[1,1,4], %f : int8[1,1,4] = split(%a) {axis=2, sizes=(4, 4)}
        %g : int8[1,2,4], %h : int8[1,2,4] = split(%b) {axis=2, sizes=(4, 4)}
        %y : int8[1] = mix(%a, %b, %c, %d, %e, %f, %g, %h) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {"a": "x+0", "b": "x+8", "c": "x+8", "d": "x+16", "e": "x+0", "f": "x+4"}
    assert idle(graph) == {"a", "c", "e"}
    assert left(graph) == {"g": 2}


def test_what_is_computed_on_is_aligned() -> None:
    """3 is no multiple of 4: good for those that copy, not for others, nor for those who use the model."""
    text = """
        input %in : int8[4]
        %x : int8[9] = mix(%in) {shape=(9,)}
        %a : int8[3], %b : int8[3], %c : int8[3] = split(%x) {axis=0, sizes=(3, 3, 3)}
        %d : int8[3,3] = pack(%c, %b, %c) {axis=1}
        %y : int8[1] = mix(%d, USED) {shape=(1,)}
    """
    graph = graph_of_text(text.replace("USED", "%a") + "output %y")
    assert shown(graph) == {"a": "x+0", "b": "x+3", "c": "x+6"}
    graph = graph_of_text(text.replace("USED", "%b") + "output %y")
    assert shown(graph) == {"a": "x+0", "c": "x+6"}
    assert left(graph) == {"a": 1, "d": 3}
    assert views_of(text.replace("USED", "%a") + "output %y, %c") == {"a": "x+0", "b": "x+3"}


def test_a_view_of_a_view_is_aligned_in_the_root() -> None:
    assert views_of("""
        input %in : int8[4]
        %x : int8[12] = mix(%in) {shape=(12,)}
        %a : int8[7] = slice(%x) {begin=(3,), size=(7,)}
        %b : int8[4] = slice(%a) {begin=(1,), size=(4,)}
        %c : int8[3] = slice(%a) {begin=(4,), size=(3,)}
        %y : int8[1] = mix(%b, %c) {shape=(1,)}
        output %y
    """) == {"a": "x+3", "b": "x+4"}


def test_constants_are_copied() -> None:
    graph = graph_of_text("""
        input %x : int8[4]
        const %k : int8[4] = [1, 2, 3, 4]
        %a : int8[2,2] = reshape(%k) {shape=(2, 2)}
        %b : int8[4] = slice(%k) {begin=(0,), size=(4,)}
        %c : int8[4] = concatenation(%k)
        %y : int8[1] = mix(%x, %a, %b, %c) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {}
    assert left(graph) == {"a": 1, "b": 1, "c": 1}


def test_an_output_never_lies_in_an_input() -> None:
    assert views_of("""
        input %x : int8[2,4]
        input %z : int8[4]
        %a : int8[8] = reshape(%x) {shape=(8,)}
        %b : int8[4] = slice(%a) {begin=(4,), size=(4,)}
        %c : int8[2,2] = reshape(%z) {shape=(2, 2)}
        output %b, %z
    """) == {"a": "x+0", "c": "z+0"}


def test_outputs_share_memory_where_they_are_the_same_bytes() -> None:
    assert views_of("""
        input %in : int8[4]
        %x : int8[2,4] = mix(%in) {shape=(2, 4)}
        %a : int8[8] = reshape(%x) {shape=(8,)}
        %b : int8[1,4], %c : int8[1,4] = split(%x) {axis=0, sizes=(1, 1)}
        output %x, %a, %c
    """) == {"a": "x+0", "b": "x+0", "c": "x+4"}


# ---------------------------------------------------------------------------------------- sources in their output


def test_parts_are_written_where_they_belong() -> None:
    """Views of a part, made before or after, go with it; so does a concatenation that is itself a part."""
    graph = graph_of_text("""
        input %x : int8[1,4]
        %a : int8[1,4] = mix(%x) {shape=(1, 4)}
        %b : int8[2,4] = mix(%a) {shape=(2, 4)}
        %b2 : int8[8] = reshape(%b) {shape=(8,)}
        %ab : int8[3,4] = concatenation(%a, %b)
        %b3 : int8[4] = slice(%b2) {begin=(4,), size=(4,)}
        %p : int8[4] = mix(%x) {shape=(4,)}
        %q : int8[4] = mix(%p) {shape=(4,)}
        %pq : int8[2,4] = pack(%p, %q)
        %z : int8[5,4] = concatenation(%pq, %ab)
        %all : int8[1,5,4] = pack(%z)
        %y : int8[1] = mix(%all, %b3) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {
        "p": "z+0",
        "q": "z+4",
        "pq": "z+0",
        "a": "z+8",
        "b": "z+12",
        "b2": "z+12",
        "b3": "z+16",
        "ab": "z+8",
        "all": "z+0",
    }
    assert idle(graph) == {"b2", "ab", "b3", "pq", "z", "all"}
    assert left(graph) == {}


def test_an_input_may_be_a_part_unless_an_output_is_there() -> None:
    text = """
        input %x : int8[4]
        %a : int8[4] = mix(%x) {shape=(4,)}
        %c : int8[8] = concatenation(%x, %a)
        %v : int8[2,4] = reshape(%c) {shape=(2, 4)}
        %y : int8[1] = mix(%v) {shape=(1,)}
    """
    assert views_of(text + "output %y") == {"x": "c+0", "a": "c+4", "v": "c+0"}
    graph = graph_of_text(text + "output %y, %c")
    assert (shown(graph), left(graph)) == ({"a": "c+4", "v": "c+0"}, {"c": 1})
    graph = graph_of_text(text + "output %y, %v")  # it comes later, and is the one that is copied
    assert (shown(graph), left(graph)) == ({"x": "c+0", "a": "c+4"}, {"v": 1})
    graph = graph_of_text(text + "output %y, %a")
    assert (shown(graph), left(graph)) == ({"x": "c+0", "v": "c+0"}, {"c": 1})


def test_parts_that_are_copied() -> None:
    """Constants, a part's second time, a piece of something else, a part of another one, one that is misaligned."""
    graph = graph_of_text("""
        input %x : int8[4]
        const %k : int8[4] = [1, 2, 3, 4]
        %a : int8[4] = mix(%x) {shape=(4,)}
        %b : int8[8] = mix(%a) {shape=(8,)}
        %s : int8[4] = slice(%b) {begin=(4,), size=(4,)}
        %d : int8[3] = mix(%s) {shape=(3,)}
        %e : int8[4] = mix(%s) {shape=(4,)}
        %c : int8[27] = concatenation(%k, %a, %a, %s, %d, %e, %x)
        %f : int8[8] = concatenation(%a, %x)
        %y : int8[1] = mix(%c, %f) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {"a": "c+4", "s": "b+4", "d": "c+16", "x": "f+4"}
    assert left(graph) == {"c": 5, "f": 1}


def test_empty_parts_do_no_harm() -> None:
    graph = graph_of_text("""
        input %x : int8[4]
        %a : int8[0,4] = mix(%x) {shape=(0, 4)}
        %b : int8[0,4] = mix(%x) {shape=(0, 4)}
        %c : int8[0,4] = concatenation(%a, %b, %a)
        %d : int8[1,4] = mix(%x) {shape=(1, 4)}
        %e : int8[1,4] = concatenation(%b, %d, %c)
        %y : int8[1] = mix(%c, %e) {shape=(1,)}
        output %y
    """)
    assert shown(graph)["e"] == "d+0"
    assert idle(graph) >= {"c"}


def test_parts_along_an_inner_axis_are_copied() -> None:
    graph = graph_of_text("""
        input %x : int8[2,4]
        %a : int8[2,4] = mix(%x) {shape=(2, 4)}
        %b : int8[2,4] = mix(%x) {shape=(2, 4)}
        %c : int8[2,8] = concatenation(%a, %b) {axis=1}
        %d : int8[2,2,4] = pack(%a, %b) {axis=1}
        %y : int8[1] = mix(%c, %d) {shape=(1,)}
        output %y
    """)
    assert (shown(graph), left(graph)) == ({}, {"c": 2, "d": 2})


# ---------------------------------------------------------------------------------------------- state


SHIFT = """
    input %x : int8[1,2,4]
    var %s : int8[1,3,4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    %r : int8[1,3,4] = read_variable() {variable="s"}
    %n : int8[1,2,4] = NEW
    %c : int8[1,5,4] = concatenation(%r, %n) {axis=1}
    %k : int8[1,3,4] = slice(%c) {begin=(0, 2, 0), size=(1, 3, 4)}
    assign_variable(%k) {variable="s"}
    %y : int8[1,5,4] = mix(%c, MORE) {shape=(1, 5, 4)}
"""


def shift(new: str = "mix(%x) {shape=(1, 2, 4)}", more: str = "%k", tail: str = "output %y") -> Graph:
    text = SHIFT.replace("NEW", new).replace("MORE", more)
    return graph_of_text(text.strip() + "\n" + tail)


REGISTER = {"r": "$s+0", "c": "$s+0", "n": "$s+12", "k": "$s+8"}


def test_a_shift_register() -> None:
    """The new rows are written behind the old ones; nothing is left but the move of the storage, after its readers."""
    graph = shift()
    assert shown(graph) == REGISTER
    assert storage_bytes(graph, find_views(graph)) == {"s": 20}
    assert idle(graph) == {"r", "c", "k"}
    assert left(graph) == {"assign_variable:s": 1}
    order = order_of(graph)
    assert order.index("assign_variable:s") > order.index("y")
    (assign, readers), *others = before_assign(graph, find_views(graph)).items()
    assert (assign.name, [node.name for node in readers], others) == ("assign_variable:s", ["c", "k", "y"], [])


def test_an_input_lies_in_the_storage() -> None:
    """Also through a view of it; not if it is an output as well."""
    graph = shift("reshape(%x) {shape=(1, 2, 4)}")
    assert shown(graph) == {**REGISTER, "x": "$s+12"}
    assert left(graph) == {"assign_variable:s": 1}
    graph = shift("reshape(%x) {shape=(1, 2, 4)}", tail="output %y, %x")
    assert shown(graph) == {"r": "$s+0", "c": "$s+0", "k": "$s+8", "n": "x+0"}
    assert left(graph) == {"c": 1, "assign_variable:s": 1}


@pytest.mark.parametrize(
    ("output", "views", "copies"),
    [
        # what was read lives on: it is copied, into the concatenation at once
        ("%r", {"r": "c+0", "n": "c+12", "k": "c+8"}, {"r": 1, "assign_variable:s": 1}),
        ("%c", {"r": "$s+0", "n": "c+12", "k": "c+8"}, {"c": 1, "assign_variable:s": 1}),
        ("%k", {"r": "$s+0", "n": "$s+12", "c": "$s+0"}, {"k": 1, "assign_variable:s": 1}),
        ("%n", {"r": "$s+0", "c": "$s+0", "k": "$s+8"}, {"c": 1, "assign_variable:s": 1}),
    ],
)
def test_no_output_lies_in_the_storage(output: str, views: dict[str, str], copies: dict[str, int]) -> None:
    graph = shift(tail=f"output %y, {output}")
    assert shown(graph) == views
    assert left(graph) == copies


def test_what_is_read_after_the_assignment_is_copied() -> None:
    """Then the first value and the second are both alive."""
    graph = shift(
        tail="""%r2 : int8[1,3,4] = read_variable() {variable="s"}
        %z : int8[1] = mix(%r2, %r) {shape=(1,)}
        output %y, %z"""
    )
    assert shown(graph) == {"r": "c+0", "n": "c+12", "k": "c+8"}
    assert left(graph) == {"r": 1, "assign_variable:s": 1, "r2": 1}


def test_a_variable_that_is_assigned_twice_has_no_views() -> None:
    graph = shift(tail='assign_variable(%r) {variable="s"}\noutput %y')
    assert shown(graph) == {"r": "c+0", "n": "c+12", "k": "c+8"}


def test_two_reads_are_the_same_bytes_and_only_one_concatenation_grows() -> None:
    graph = graph_of_text("""
        input %x : int8[4]
        var %s : int8[4] = [1, 2, 3, 4]
        %r : int8[4] = read_variable() {variable="s"}
        %q : int8[4] = read_variable() {variable="s"}
        %a : int8[4] = mix(%x) {shape=(4,)}
        %b : int8[4] = mix(%a) {shape=(4,)}
        %c : int8[8] = concatenation(%r, %a)
        %d : int8[8] = concatenation(%q, %b)
        %k : int8[4] = slice(%d) {begin=(4,), size=(4,)}
        assign_variable(%k) {variable="s"}
        %y : int8[1] = mix(%c, %d) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {"r": "$s+0", "q": "$s+0", "c": "$s+0", "a": "$s+4", "b": "d+4", "k": "d+4"}
    assert left(graph) == {"d": 1, "assign_variable:s": 1}
    assert order_of(graph)[-1] == "assign_variable:s"


def test_the_old_rows_come_first_in_a_register() -> None:
    graph = graph_of_text("""
        input %x : int8[4]
        var %s : int8[4] = [1, 2, 3, 4]
        %r : int8[4] = read_variable() {variable="s"}
        %c : int8[8] = concatenation(%x, %r)
        %y : int8[4] = mix(%c) {shape=(4,)}
        assign_variable(%y) {variable="s"}
        output %y
    """)
    assert shown(graph) == {"r": "$s+0", "x": "c+0"}
    assert left(graph) == {"c": 1, "assign_variable:s": 1}


def test_a_register_that_drops_its_first_rows_before_it_grows_twice() -> None:
    graph = graph_of_text("""
        input %x : int8[4]
        var %s : int8[3,4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
        %r : int8[3,4] = read_variable() {variable="s"}
        %o : int8[2,4] = slice(%r) {begin=(1, 0), size=(2, 4)}
        %a : int8[1,4] = mix(%x) {shape=(1, 4)}
        %c : int8[3,4] = concatenation(%o, %a)
        %b : int8[1,4] = mix(%c) {shape=(1, 4)}
        %d : int8[4,4] = concatenation(%c, %b)
        assign_variable(%c) {variable="s"}
        %y : int8[1] = mix(%d) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {"r": "$s+0", "o": "$s+4", "c": "$s+4", "a": "$s+12", "d": "$s+4", "b": "$s+16"}
    assert storage_bytes(graph, find_views(graph)) == {"s": 20}
    assert left(graph) == {"assign_variable:s": 1}


def test_what_was_read_from_the_middle_does_not_grow() -> None:
    """The rows behind it are the state's own."""
    graph = graph_of_text("""
        input %x : int8[4]
        var %s : int8[8] = [1, 2, 3, 4, 5, 6, 7, 8]
        %r : int8[8] = read_variable() {variable="s"}
        %o : int8[4] = slice(%r) {begin=(0,), size=(4,)}
        %c : int8[8] = concatenation(%o, %x)
        assign_variable(%c) {variable="s"}
        %y : int8[1] = mix(%c, %r) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {"r": "$s+0", "o": "$s+0", "x": "c+4"}
    assert left(graph) == {"c": 1, "assign_variable:s": 1}


def test_new_rows_that_would_be_misaligned_are_copied_into_the_storage() -> None:
    graph = graph_of_text("""
        input %x : int8[4]
        var %s : int8[3] = [1, 2, 3]
        %r : int8[3] = read_variable() {variable="s"}
        %n : int8[1] = mix(%x) {shape=(1,)}
        %c : int8[4] = concatenation(%r, %n)
        %k : int8[3] = slice(%c) {begin=(1,), size=(3,)}
        assign_variable(%k) {variable="s"}
        %y : int8[1] = mix(%c) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {"r": "$s+0", "c": "$s+0", "k": "$s+1"}
    assert left(graph) == {"c": 1, "assign_variable:s": 1}


def test_an_assignment_of_what_was_read_does_nothing() -> None:
    graph = graph_of_text("""
        var %s : int8[4] = [1, 2, 3, 4]
        %r : int8[4] = read_variable() {variable="s"}
        assign_variable(%r) {variable="s"}
        %y : int8[1] = mix(%r) {shape=(1,)}
        output %y
    """)
    assert idle(graph) == {"r", "assign_variable:s"}


def test_a_variable_that_is_never_assigned_is_read_in_its_place() -> None:
    graph = graph_of_text("""
        var %s : int8[4] = [1, 2, 3, 4]
        %r : int8[4] = read_variable() {variable="s"}
        %y : int8[1] = mix(%r) {shape=(1,)}
        output %y
    """)
    assert (shown(graph), before_assign(graph, find_views(graph))) == ({"r": "$s+0"}, {})


TWO = """
    input %x : int8[4]
    var %s : int8[4] = [1, 2, 3, 4]
    var %t : int8[4] = [5, 6, 7, 8]
    %a : int8[4] = read_variable() {variable="s"}
    %b : int8[4] = read_variable() {variable="t"}
    assign_variable(%x) {variable="s"}
    assign_variable(%a) {variable="t"}
    %y : int8[1] = mix(%a, %b) {shape=(1,)}
    output %y
"""


def test_a_variable_that_becomes_another_one_is_assigned_first() -> None:
    graph = graph_of_text(TWO)
    assert shown(graph) == {"a": "$s+0", "b": "$t+0"}
    assert order_of(graph)[-3:] == ["y", "assign_variable:t", "assign_variable:s"]


def test_variables_that_change_places_are_copied() -> None:
    graph = graph_of_text(TWO.replace("(%x)", "(%b)"))
    assert shown(graph) == {}
    assert left(graph) == {"a": 1, "b": 1, "assign_variable:s": 1, "assign_variable:t": 1}
    assert is_order(graph, schedule(graph))


def test_a_ring_of_three_does_not_touch_those_outside_of_it() -> None:
    graph = graph_of_text("""
        var %s : int8[4] = [1, 2, 3, 4]
        var %t : int8[4] = [1, 2, 3, 4]
        var %u : int8[4] = [1, 2, 3, 4]
        var %v : int8[4] = [1, 2, 3, 4]
        %a : int8[4] = read_variable() {variable="s"}
        %b : int8[4] = read_variable() {variable="t"}
        %c : int8[4] = read_variable() {variable="u"}
        %d : int8[4] = read_variable() {variable="v"}
        assign_variable(%b) {variable="s"}
        assign_variable(%c) {variable="t"}
        assign_variable(%a) {variable="u"}
        assign_variable(%a) {variable="v"}
        %y : int8[1] = mix(%d) {shape=(1,)}
        output %y
    """)
    assert shown(graph) == {"d": "$v+0"}
    assert is_order(graph, schedule(graph))


def is_order(graph: Graph, order: list[Node]) -> bool:
    return len(order) == len(graph.nodes) and set(order) == set(graph.nodes)
