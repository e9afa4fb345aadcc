"""Layers taken apart: exact where a product is exact, and never worse than what is known to be the best."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from chipfit.compress.channels.sensitivity import meter_of_outputs
from chipfit.compress.decompose.choose import floored, rise_of, within_energy, within_macs
from chipfit.compress.decompose.edit import parts_of, sites_of, taken_apart, why_not
from chipfit.compress.decompose.factors import (
    Target,
    canonical,
    lines,
    lines_rows,
    low_rank,
    low_rank_errors,
    products,
    products_rows,
    separable,
    separable_errors,
    separable_rows,
    signal_rank,
    tucker,
    tucker_errors,
)
from chipfit.compress.decompose.forms import FORMS, Choice, Form, Site, choices, error_of, pieces
from chipfit.compress.decompose.method import Decompose, Rule, decomposed
from chipfit.compress.judge import macs, parameters
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.interpret import evaluate
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.fully_connected import FullyConnected
from chipfit.ops.reshape import Reshape
from chipfit.ops.softmax import Softmax
from chipfit.quantize import Samples
from chipfit.trainable.judge import float_outputs
from compress.nets import grouped
from quantize.nets import Builder, normal

OUT, KH, KW, IN = 12, 3, 3, 10
EXACT = 1e-8


def spread_of(rng: np.random.Generator, columns: int) -> Array:
    mixed = rng.normal(0, 1, (3 * columns, columns)) @ rng.normal(0, 1, (columns, columns))
    return mixed.T @ mixed / len(mixed) + 0.01 * np.eye(columns)


@pytest.fixture(params=["weights", "samples"])
def spread(request: pytest.FixtureRequest) -> Array | None:
    return None if request.param == "weights" else spread_of(np.random.default_rng(7), KH * KW * IN)


def tucker_rows(first: Array, core: Array, last: Array) -> Array:
    return np.einsum("or,rhwq,qi->ohwi", last, core, first).reshape(len(last), -1)


def test_tucker_finds_the_ranks(spread: Array | None) -> None:
    rng = np.random.default_rng(0)
    w = tucker_rows(rng.normal(size=(4, IN)), rng.normal(size=(5, KH, KW, 4)), rng.normal(size=(OUT, 5)))
    target = Target(w.reshape(OUT, KH, KW, IN), spread)
    parts = tucker(target, 4, 5)
    assert [p.shape for p in parts] == [(4, IN), (5, KH, KW, 4), (OUT, 5)]
    assert target.error(tucker_rows(*parts)) < EXACT
    known = tucker_errors(target, [3, 4])
    assert known[1][4] < EXACT < 0.01 < min(known[0][4], known[1][3])
    # fewer ranks: what was foretold, or better
    assert 0.01 < target.error(tucker_rows(*tucker(target, 2, 3))) < tucker_errors(target, [2])[0][2] + 1e-12


def test_lower_rank_is_the_best(spread: Array | None) -> None:
    rng = np.random.default_rng(0)
    target = Target(rng.normal(size=(OUT, KH, KW, IN)), spread)
    errors = low_rank_errors(target)
    root = np.eye(KH * KW * IN) if spread is None else np.linalg.cholesky(spread)
    values = np.square(np.linalg.svd(target.rows @ root, compute_uv=False))
    np.testing.assert_allclose(errors, 1 - np.cumsum(values) / values.sum(), atol=1e-9)
    features, mix = low_rank(target, 5)
    assert target.error(mix @ features) == pytest.approx(errors[4])
    # what flows between both is of equal size in all channels: one grid of integers fits it
    np.testing.assert_allclose((target.weighed(features) * features).sum(axis=1), 1)


def test_lines_products_and_separable_are_exact(spread: Array | None) -> None:
    rng = np.random.default_rng(1)
    n = rng.normal
    target = Target(np.einsum("qhi,owq->ohwi", n(size=(4, KH, IN)), n(size=(OUT, KW, 4))), spread)
    assert target.error(lines_rows(*lines(target, 4))) < EXACT < target.error(lines_rows(*lines(target, 3)))
    w = np.einsum("or,rhw,ri->ohwi", n(size=(OUT, 6)), n(size=(6, KH, KW)), n(size=(6, IN)))
    target = Target(w, spread)
    assert target.error(products_rows(*products(target, 6, False))) < 1e-6
    w = np.einsum("or,rh,rw,ri->ohwi", n(size=(OUT, 5)), n(size=(5, KH)), n(size=(5, KW)), n(size=(5, IN)))
    target = Target(w, spread)
    assert target.error(products_rows(*products(target, 5, True))) < 1e-6
    target = Target(np.einsum("oiq,iqhw->ohwi", n(size=(OUT, IN, 2)), n(size=(IN, 2, KH, KW))), spread)
    assert target.error(separable_rows(*separable(target, 2))) < EXACT
    one = target.error(separable_rows(*separable(target, 1)))
    plain = target.error(separable_rows(*separable(Target(target.w), 1)))
    assert EXACT < one <= plain + 1e-9
    if spread is None:
        assert separable_errors(target, 2) == pytest.approx([one, 0], abs=EXACT)
    else:
        assert one < 0.9 * plain


def test_sums_of_products_of_any_tensor() -> None:
    rng = np.random.default_rng(3)
    wanted = [rng.normal(size=(size, 4)) for size in (5, 6, 7)]
    tensor = np.einsum("az,bz,cz->abc", *wanted)
    found = canonical(tensor, 4)
    np.testing.assert_allclose(np.einsum("az,bz,cz->abc", *found), tensor, atol=1e-3)
    # the terms are the same ones, up to order and sizes
    alike = np.abs((wanted[0] / np.linalg.norm(wanted[0], axis=0)).T @ (found[0] / np.linalg.norm(found[0], axis=0)))
    np.testing.assert_allclose(alike.max(axis=0), 1, atol=1e-3)


@pytest.mark.parametrize("noise", [0.0, 0.2, 1.0])
def test_signal_is_told_from_noise(noise: float) -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(40, 7)) @ rng.normal(size=(7, 90))
    assert signal_rank(signal + noise * rng.normal(size=signal.shape)) == 7
    assert signal_rank(signal.T + noise * rng.normal(size=signal.T.shape)) == 7


def test_noise_is_no_signal() -> None:
    assert signal_rank(np.random.default_rng(0).normal(size=(40, 90))) == 0


# ------------------------------------------------------------------------------------- graphs


def convolution(rng: np.random.Generator, out: int = 16, channels: int = 16, **options: object) -> Graph:
    b = Builder(1, 9, 8, channels)
    y = b.add("y", Conv2D(act="relu", **options), b.x, normal(rng, out, 3, 3, channels), normal(rng, out))  # pyright: ignore
    return b.graph(y)


def vgg(rng: np.random.Generator, channels: int = 24) -> Graph:
    """Two 3x3 layers, and dense ones behind them; weights of low rank and some noise."""

    def weights(*shape: int) -> Array:
        flat = rng.normal(size=(shape[0], 5)) @ rng.normal(size=(5, int(np.prod(shape[1:]))))
        return (0.1 * (flat + 0.3 * rng.normal(size=flat.shape))).reshape(shape).astype(np.float32)

    b = Builder(1, 8, 8, 3)
    x = b.add("first", Conv2D(pad=(1, 1, 1, 1), act="relu"), b.x, weights(channels, 3, 3, 3), normal(rng, channels))
    x = b.add("second", Conv2D((2, 2), (0, 0, 1, 1), act="relu"), x, weights(channels, 3, 3, channels))
    flat = b.add("flat", Reshape((1, 16 * channels)), x)
    x = b.add("dense", FullyConnected(act="relu"), flat, weights(40, 16 * channels), normal(rng, 40))
    x = b.add("logits", FullyConnected(), x, normal(rng, 4, 40), normal(rng, 4))
    return b.graph(b.add("answer", Softmax(), x))


def samples(graph: Graph, count: int = 40) -> Samples:
    rng = np.random.default_rng(5)
    return Samples((rng.normal(0.5, 1, (count, *graph.inputs[0].shape)).astype(np.float32),), (None,))


WHOLE: dict[Form, Callable[[Site], tuple[int, ...]]] = {
    "svd": lambda site: (len(site.target.w),),
    "tucker": lambda site: (site.target.w.shape[3], len(site.target.w)),
    "lines": lambda site: (3 * site.target.w.shape[3],),
    "separable": lambda site: (min(9, len(site.target.w)),),
}


@pytest.mark.parametrize("options", [
    {}, {"pad": (1, 1, 1, 1)}, {"stride": (2, 1), "pad": (1, 0, 0, 2)}, {"dilation": (2, 2), "pad": (2, 1, 1, 2)},
    {"stride": (2, 3), "pad": (0, 1, 1, 0)},
])  # fmt: skip
@pytest.mark.parametrize("form", FORMS)
def test_parts_compute_what_the_layer_did(form: Form, options: dict[str, object]) -> None:
    """With all ranks exactly; with fewer, as the weights that the parts are together."""
    rng = np.random.default_rng(0)
    graph = convolution(rng, 6, 4, **options)
    (site,) = sites_of(graph, None)
    ranks = WHOLE[form](site) if form in WHOLE else (7,)
    made, rows = pieces(site, form, ranks)
    choice = Choice(form, ranks, 0, 0, 0.0)
    small = taken_apart(graph, {site.node: parts_of(site, choice)})
    assert len(small.nodes) == len(made)
    x = rng.normal(0, 1, graph.inputs[0].shape).astype(np.float32)
    if form in WHOLE:
        np.testing.assert_allclose(evaluate(small, [x])[0], evaluate(graph, [x])[0], atol=1e-4)
    same = graph.copy()
    same.nodes[0]["w"].data = rows.reshape(same.nodes[0]["w"].shape).astype(np.float32)
    np.testing.assert_allclose(evaluate(small, [x])[0], evaluate(same, [x])[0], atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["conv", "dense", "point"])
def test_choices_say_what_they_cost(form: Form, name: str) -> None:
    rng = np.random.default_rng(0)
    if name == "conv":
        graph = convolution(rng, pad=(1, 1, 0, 0), stride=(2, 1))
    else:
        b = Builder(1, 4, 4, 20) if name == "point" else Builder(3, 20)
        op = Conv2D(stride=(2, 2)) if name == "point" else FullyConnected()
        w = normal(rng, 24, 1, 1, 20) if name == "point" else normal(rng, 24, 20)
        graph = b.graph(b.add("y", op, b.x, w))
    (site,) = sites_of(graph, None)
    found = choices(site, form)
    assert len(found) >= 2
    for choice in found[:: max(1, len(found) // 3)]:
        small = taken_apart(graph, {site.node: parts_of(site, choice)})
        bias = sum(n["b"].type.size for n in small.nodes if n.get("b") is not None)
        assert (macs(small), parameters(small) - bias) == (choice.macs, choice.weights)
        assert choice.macs <= 0.75 * site.macs
        # what is foretold of Tucker is a bound, the rest is what it is
        real = error_of(site, choice.form, choice.ranks)
        assert real <= choice.error + 1e-9
        assert choice.form == "tucker" or real == pytest.approx(choice.error)


def test_names_stay_and_the_graph_is_left_alone() -> None:
    graph = vgg(np.random.default_rng(0))
    before = {v.name: (v.shape, v.data) for v in graph.values()}
    small, details = decomposed(graph, rule=Rule(energy=0.8))
    assert {v.name: (v.shape, v.data) for v in graph.values()} == before
    assert {"first", "second", "flat", "dense", "logits", "answer"} <= {v.name for v in small.values()}
    assert [row.name for row in details.layers] == ["first", "second", "dense", "logits"]
    for row in details.layers:
        if row.form is not None:
            assert row.error <= 0.2
            assert row.macs_after <= 0.75 * row.macs
    assert sum(row.macs_after for row in details.layers) + sum(
        macs_of for macs_of in (macs(graph) - sum(row.macs for row in details.layers),)
    ) == macs(small)


def test_a_mean_goes_into_the_bias() -> None:
    """Behind activations that are not zero in the mean, what is lost of it is made up for."""
    graph = convolution(np.random.default_rng(0))
    given = samples(graph, 100)
    (site,) = sites_of(graph, given)
    choice = min(choices(site, "tucker"), key=lambda c: abs(c.error - 0.3))
    small = taken_apart(graph, {site.node: parts_of(site, choice)})
    for g in (graph, small):
        g.nodes[-1].op = Conv2D(g.nodes[-1].op.attributes()["stride"])
    off = float_outputs(small, given) - float_outputs(graph, given)
    power = float_outputs(graph, given).std()
    assert np.abs(off.reshape(-1, 16).mean(axis=0)).max() < 0.05 * power < off.std()


def test_samples_make_it_better() -> None:
    graph = vgg(np.random.default_rng(0))
    rng = np.random.default_rng(9)
    # channels of very different sizes, which weights alone do not know of
    sizes = np.exp(rng.normal(0, 1.5, 3))
    given = Samples((rng.normal(0, 1, (60, 1, 8, 8, 3)).astype(np.float32) * sizes.astype(np.float32),), (None,))
    meter = meter_of_outputs(graph, given)
    rule = Rule(macs="0.4")
    plain, _ = decomposed(graph, rule=rule)
    seen, details = decomposed(graph, rule=rule, samples=given, meter=meter)
    assert max(macs(plain), macs(seen)) <= 0.4 * macs(graph)
    assert details.loss == meter.measure(seen)[0]
    assert (details.loss or 1) < 0.8 * meter.measure(plain)[0]


def test_accuracy_budget() -> None:
    graph = vgg(np.random.default_rng(0))
    meter = meter_of_outputs(graph, samples(graph, 100))
    tight, loose = (decomposed(graph, rule=Rule(drop=points), meter=meter)[0] for points in (2, 25))
    assert (meter.measure(tight)[1] or 0) >= 0.98
    assert (meter.measure(loose)[1] or 0) >= 0.75
    assert macs(loose) < macs(tight) < macs(graph)
    with pytest.raises(ChipfitError, match="has no accuracy here"):
        decomposed(graph, rule=Rule(drop=1))


def test_ranks_of_the_signal() -> None:
    graph = vgg(np.random.default_rng(0))
    _, details = decomposed(graph, "svd", Rule(signal=True))
    ranks = {row.name: row.ranks for row in details.layers if row.form}
    assert ranks["second"] == ranks["dense"] == (5,)


def test_budgets_are_met_where_it_costs_least() -> None:
    rng = np.random.default_rng(0)
    graph = vgg(rng)
    options = {site: choices(site, "svd") for site in sites_of(graph, None)}
    options = {site: every for site, every in options.items() if every}
    dear, *others = options
    total = sum(site.macs for site in options)
    rises = {site: 100.0 if site is dear else 1.0 for site in options}
    chosen = within_macs(options, rises, 0.6 * total)
    assert sum(chosen[s].macs if s in chosen else s.macs for s in options) <= 0.6 * total
    assert dear not in chosen or chosen[dear].error < min(chosen[s].error for s in others if s in chosen)
    assert within_macs(options, rises, total) == {}
    with pytest.raises(ChipfitError, match="the least is") as caught:
        within_macs(options, rises, 10)
    assert caught.value.code == "N006"
    kept = within_energy(options, 0.9)
    assert all(c.error <= 0.1 for c in kept.values())
    assert floored({dear: rise_of(-1.0, 0.1), others[0]: 1.0})[dear] > 0


def test_what_stays() -> None:
    graph = grouped(np.random.default_rng(0))
    reasons = {node.name: why_not(node) for node in graph.nodes}
    assert reasons["halves"] == "is a convolution in groups"
    assert reasons["wide"] is None
    assert reasons["pool"] == ""
    _, details = decomposed(graph, "tucker", Rule(energy=0.5))
    assert {row.name: row.reason for row in details.layers}["halves"] == "is a convolution in groups"


@pytest.mark.parametrize("rule", [{}, {"macs": "0.5", "energy": 0.9}, {"energy": 1.5}, {"drop": -1.0}])
def test_rules_that_are_none(rule: dict[str, object]) -> None:
    with pytest.raises(ChipfitError, match="U001"):
        Rule(**rule)  # pyright: ignore[reportArgumentType]


def test_words_say_it_again() -> None:
    method = Decompose("tucker", Rule(energy=0.9), weighted=False)
    assert method.words == ["--form", "tucker", "--energy", "0.9", "--unweighted", "--epochs", "0"]
    with pytest.raises(ChipfitError, match="--signal says nothing about cp"):
        Decompose("cp", Rule(signal=True))
