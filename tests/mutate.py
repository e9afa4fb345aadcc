"""Put deliberate bugs into the C kernels, one at a time, and see the generic kernel tests catch each.

``make mutate`` prints a table and ends with 1 if a bug survives. A bug is a replacement of text in a copy of the
runtime; what must catch it are the tests of one operator on this computer (see ops/test_kernels.py), for kernels with
vector instructions those on QEMU (see ops/test_helium.py; left out where it is not installed).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chipfit.codegen.project import runtime_folder
from chipfit.emulate import qemu
from chipfit.errors import ChipfitError
from ops import bundle, test_helium, test_kernels


@dataclass(frozen=True)
class Mutation:
    """A bug: ``old`` becomes ``new`` in a file of the runtime. ``op``: the operator whose tests must catch it.

    ``features``: of a core whose kernels are tested besides the portable ones.
    """

    what: str
    op: str
    file: str
    old: str
    new: str
    features: frozenset[str] = frozenset()

    def apply(self, runtime: Path) -> None:
        path = runtime / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise LookupError(f"{self.file} has {text.count(self.old)} times: {self.old}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


KERNEL, WINDOW, SOFTMAX = "include/cf_kernel.h", "include/cf_window.h", "include/cf_softmax.h"
CONV, DEPTHWISE = "kernels/cf_conv2d_s8.h", "kernels/cf_depthwise_conv2d_s8.h"
AVERAGE, MAX_POOL = "kernels/cf_average_pool2d_s8.h", "kernels/cf_max_pool2d_s8.h"
DENSE = "kernels/cf_fully_connected_s8.h"
SIGMOID, SOFTMAX16 = "include/cf_sigmoid.h", "kernels/cf_softmax_s16.h"
DENSE_DSP, DENSE_TILE = "include/cf_dense_dsp.h", "include/cf_tile_dense.h"
FINISH, STRIP, PLANE = "include/cf_finish.h", "include/cf_strip.h", "include/cf_plane.h"
SMALL, SMALL_CONV = "include/cf_small.h", "kernels/cf_conv2d_s8_dsp_small.h"
CONV_DSP, DIRECT = "include/cf_conv_dsp.h", "kernels/cf_conv2d_s8_dsp_direct.h"
SMALL_DEPTHWISE = "kernels/cf_depthwise_conv2d_s8_dsp_small.h"
LINES_3X3, PLANES_3X3 = "include/cf_tile_depthwise_3x3.h", "kernels/cf_depthwise_conv2d_s8_dsp_3x3.h"
DSP, MULH, THUMB1, MLA, MVE = (frozenset({feature}) for feature in ("dsp", "mulh", "thumb1", "mla", "mve"))
VECTORS, DOTS, CONV_MVE = "include/cf_mve.h", "include/cf_mve_dots.h", "kernels/cf_conv2d_s8_mve.h"
QUADS, DENSE_MVE = "include/cf_tile_quads.h", "kernels/cf_fully_connected_s8_mve.h"
AVERAGE_MVE, MAX_MVE = "kernels/cf_average_pool2d_s8_mve.h", "kernels/cf_max_pool2d_s8_mve.h"

S16, LAYER_S16, TILE_S16 = "include/cf_s16.h", "include/cf_layer_s16.h", "include/cf_tile_s16.h"
CONV_S16, DEPTHWISE_S16 = "kernels/cf_conv2d_s16_dsp.h", "kernels/cf_depthwise_conv2d_s16_dsp.h"

LAYERS_S16 = (
    Mutation("rounding of sums of 64 bits", "conv2d", S16, "<< (right - 1)", "<< (right - 2)"),
    Mutation("half a unit", "conv2d", LAYER_S16, "cf_shl(1, (int)p->shift - 1)", "cf_shl(1, (int)p->shift - 2)", DSP),
    Mutation("an odd channel", "conv2d", LAYER_S16, "} else if (count > 0) {", "} else if (count > 1) {", DSP),
    Mutation("the second half of four", "conv2d", TILE_S16, "cf_load32(x1 + 2 * i)", "cf_load32(x1)", DSP),
    Mutation("zeros before a window", "conv2d", CONV_S16, "cf_zero_s16(to, begin * p->in_c);", "(void)to;", DSP),
    Mutation("pair across rows", "depthwise_conv2d", DEPTHWISE_S16, "inside && ox + 1 < out_w", "inside", DSP),
    Mutation("the last odd tap", "depthwise_conv2d", DEPTHWISE_S16, "i % 2 != 0 || i == taps - 1", "i % 2 != 0", DSP),
)

LSTM, LSTM_DSP = "include/cf_lstm.h", "kernels/cf_unidirectional_sequence_lstm_s8_dsp.h"
LSTM_S8, LSTM_S16 = (f"kernels/cf_unidirectional_sequence_lstm_{kind}.h" for kind in ("s8", "s16"))
SVDF, SVDF_DSP, SVDF_S16 = "include/cf_svdf.h", "kernels/cf_svdf_s8_dsp.h", "kernels/cf_svdf_s8_s16.h"
SCALE = "include/cf_scale.h"
LSTM_OP = "unidirectional_sequence_lstm"

FIXED, DIV_S8 = "include/cf_fixed.h", "kernels/cf_div_s8.h"
LOOKUP16, COMPARE8, SELECT = "kernels/cf_lookup_s16.h", "kernels/cf_compare_s8.h", "include/cf_select.h"
SQUARED8, MATMUL8, MATMUL16 = (
    f"kernels/cf_{name}.h" for name in ("squared_difference_s8", "batch_matmul_s8", "batch_matmul_s16")
)
CUMSUM8, GATHER_ND = "kernels/cf_cumsum_s8.h", "kernels/cf_gather_nd.h"

ARITHMETIC = (
    Mutation("root: one Newton step less", "rsqrt", FIXED, "i < 5; i++", "i < 4; i++"),
    Mutation("quotient of two negatives", "div", DIV_S8, "b = -b;", "b = b == INT8_MIN ? b : -b;"),
    Mutation("table of 513: rounding", "exp", LOOKUP16, "+ 64) >> 7", ") >> 7"),
    Mutation("comparison: zero point of b", "greater", COMPARE8, "(*pb - p->b_zero)", "(*pb - p->a_zero)"),
    Mutation("choice: back to the first row", "select_v2", SELECT, "* (1 - back);\n        if", ";\n        if"),
    Mutation(
        "squared difference: one scale", "squared_difference", SQUARED8, "p->b_m, p->b_shift", "p->a_m, p->a_shift"
    ),
    Mutation("product: zero point of b", "batch_matmul", MATMUL8, "(*pb - p->b_zero)", "(*pb)"),
    Mutation("product: sums of 32 bits", "batch_matmul", MATMUL16, "int64_t acc", "int32_t acc"),
    Mutation("running sum: from the end", "cumsum", CUMSUM8, "p->size - 1 - k", "p->size - k"),
    Mutation("slices: an index outside", "gather_nd", GATHER_ND, "p->size[i] - 1)", "p->size[i])"),
)

RECURRENT = (
    Mutation("lstm: negative halves", LSTM_OP, SCALE, "x + (x >> 31) +", "x +"),
    Mutation("lstm: clip of the cell", LSTM_OP, LSTM, "p->cell_min, p->cell_max", "INT16_MIN, p->cell_max"),
    Mutation("lstm: gates change places", LSTM_OP, LSTM, "3 * gates[1]", "3 * gates[3]"),
    Mutation("lstm: rounding before tanh", LSTM_OP, LSTM, "p->shift_tanh) >> 1))", "p->shift_tanh) >> 2))"),
    Mutation("lstm: h of the step before", LSTM_OP, LSTM_S8, "hidden = yp;", "(void)yp;"),
    Mutation("lstm: batch after batch", LSTM_OP, LSTM_S16, "n * p->sample + t * p->step", "n + t"),
    Mutation("lstm: sums scaled up", LSTM_OP, SCALE, "shift > 0 ? shift : 0", "0", DSP),
    Mutation(
        "lstm: sums of the other kind", LSTM_OP, LSTM_DSP, "p->m_h[k], p->shift_h[k]", "p->m_h[k], p->shift_x[k]", DSP
    ),
    Mutation(
        "svdf: newest result is clamped",
        "svdf",
        SVDF,
        "(cf_clamp(v, INT8_MIN, INT8_MAX) + p->state_zero)",
        "cf_ssat8(v + p->state_zero)",
    ),
    Mutation("svdf: memory of the last filter", "svdf", SVDF_S16, "next[i] = state[i + 1];", "next[i] = state[i];"),
    Mutation("svdf: newest of four", "svdf", SVDF_DSP, "next[2 * memory] =", "next[3 * memory] =", DSP),
    Mutation("svdf: filters that are no four", "svdf", SVDF_DSP, "left % 4 : 4", "left % 2 : 4", DSP),
)

MUTATIONS = (
    *LAYERS_S16,
    *RECURRENT,
    *ARITHMETIC,
    Mutation("rounding constant of the high product", "conv2d", KERNEL, "(INT64_C(1) << 30)", "(INT64_C(1) << 29)"),
    Mutation("halves of negative numbers", "mul", KERNEL, "(mask >> 1) + (x < 0)", "(mask >> 1)"),
    Mutation("shift to the left is lost", "mul", KERNEL, "(uint32_t)x << left", "(uint32_t)x"),
    Mutation(
        "window ends a tap too early",
        "conv2d",
        WINDOW,
        "(size - start + dilation - 1) / dilation",
        "(size - start) / dilation",
    ),
    Mutation(
        "window begins a tap too late", "average_pool2d", WINDOW, "(-start + dilation - 1)", "(-start + dilation)"
    ),
    Mutation("input zero point", "conv2d", CONV, "xp[c] - p->in_zero", "xp[c]"),
    Mutation("first channel of a group", "conv2d", CONV, "oc / group_out * p->group_c", "oc % group_out * 0"),
    Mutation("clamp of the activation", "conv2d", CONV, "acc, p->act_min, p->act_max", "acc, INT8_MIN, INT8_MAX"),
    Mutation("stride of the other axis", "conv2d", CONV, "ox * p->stride_w", "ox * p->stride_h"),
    Mutation("input channel of an output", "depthwise_conv2d", DEPTHWISE, "oc / p->multiplier", "oc % p->in_c"),
    Mutation(
        "one channel of four",
        "depthwise_conv2d",
        DEPTHWISE,
        "(xp[2] - p->in_zero) * wp[2]",
        "(xp[2] - p->in_zero) * wp[3]",
    ),
    Mutation("multiplier of the first output", "fully_connected", DENSE, "p->per_output ? o : 0", "0"),
    Mutation("average of a negative sum", "average_pool2d", AVERAGE, "acc - count / 2", "acc - (count - 1) / 2"),
    Mutation("average of a positive sum", "average_pool2d", AVERAGE, "acc + count / 2", "acc + (count - 1) / 2"),
    Mutation("start of the maximum", "max_pool2d", MAX_POOL, "acc = INT8_MIN", "acc = 0"),
    Mutation(
        "softmax: rounding of the sum",
        "softmax",
        SOFTMAX,
        "cf_rdbpot(exps[max - x[c]], 12)",
        "(exps[max - x[c]] >> 12)",
    ),
    Mutation("add: halves away from zero", "add", "kernels/cf_add_s8.h", "sum -= sum < 0", "sum -= sum > 0"),
    Mutation("mul: zero point of the other", "mul", "kernels/cf_mul_s8.h", "*pb - p->b_zero", "*pb - p->a_zero"),
    Mutation("arg max: the last of equal ones", "arg_max", "kernels/cf_arg_max_s8.h", "] > column", "] >= column"),
    Mutation(
        "bilinear: weights", "resize_bilinear", "kernels/cf_resize_bilinear_s8.h", "fy = py & 1023", "fy = py & 1022"
    ),
    Mutation(
        "pad: elements at the end of a run",
        "pad",
        "kernels/cf_pad.h",
        "v, p->element, p->after[5]",
        "src, p->element, p->after[5]",
    ),
    Mutation("dense: overlap of the first four", "fully_connected", DENSE_DSP, "left % 4 : 4", "left % 3 : 4", DSP),
    Mutation("dense: low bytes of the lanes", "fully_connected", DENSE_TILE, "cf_shl(s.s3, 8)", "cf_shl(s.s2, 8)", DSP),
    Mutation("dense: negative sums", "fully_connected", DENSE_DSP, "extra & (a >> 31)", "0", DSP),
    Mutation("dense: end of an odd row", "fully_connected", DENSE_TILE, "memcpy(last, x, (size_t)n)", "(void)x", DSP),
    Mutation(
        "dense: end of an odd row of bytes",
        "fully_connected",
        DENSE_TILE,
        "memcpy(last, row->end, (size_t)rest)",
        "memcpy(last, row->begin, (size_t)rest)",
        DSP,
    ),
    Mutation(
        "strip: padding before a line",
        "conv2d",
        STRIP,
        "p->in_zero, begin * p->in_c",
        "0, begin * p->in_c",
        MULH,
    ),
    Mutation("finish: negative sums", "conv2d", FINISH, "n->j & (v >> 31)", "0", MULH),
    Mutation("finish: second digit", "conv2d", FINISH, "v->v2 * middle", "v->v2 * low", THUMB1),
    Mutation("finish: third digit", "fully_connected", FINISH, "sum * n->high", "sum * n->m", THUMB1),
    Mutation("mla: second channel", "conv2d", "include/cf_tile_mla.h", "numbers[i / 4 * 2]", "numbers[0]", MLA),
    Mutation("mla: unpaired channel", "conv2d", "kernels/cf_conv2d_s8_mla.h", "if (left > 1)", "if (left > 2)", MLA),
    Mutation(
        "mla: weights of four outputs", "fully_connected", "include/cf_tile_mla.h", "w[4 * k + i]", "w[4 * k]", MLA
    ),
    Mutation(
        "mla: end of a line",
        "depthwise_conv2d",
        "kernels/cf_depthwise_conv2d_s8_mla.h",
        "y[i * step] = last[i]",
        "y[i] = last[i]",
        MLA,
    ),
    Mutation("planes: next channel's numbers", "depthwise_conv2d", LINES_3X3, "channels ? 8 : 0", "0", DSP),
    Mutation("planes: channels again", "depthwise_conv2d", PLANES_3X3, "? c + 4 - p->channels : 0", "? 0 : 0", DSP),
    Mutation(
        "planes: exact channels", "depthwise_conv2d", PLANES_3X3, "p->band > 1 || p->has_exact", "p->band > 1", DSP
    ),
    Mutation("plane: stride along a line", "depthwise_conv2d", PLANE, "            to++;\n", "", MULH),
    Mutation(
        "plane: lines below the image",
        "depthwise_conv2d",
        PLANE,
        "p->in_lines - top : p->lines",
        "p->lines : p->lines",
        THUMB1,
    ),
    Mutation("border: columns of padding", "conv2d", CONV_DSP, "zero, begin * p->in_c / 4", "zero, 0", DSP),
    Mutation("border: bytes before a row", "conv2d", CONV_DSP, "cf_copy_bytes(row + skipped", "cf_copy_bytes(row", DSP),
    Mutation("direct: last pixel outside", "conv2d", DIRECT, "blocks < left + p->in_w", "1", DSP),
    Mutation("direct: columns of a later tile", "conv2d", DIRECT, "ox > p->pad_left ? ox - p->pad_left : 0", "0", DSP),
    Mutation("small: padding", "conv2d", SMALL, "(uint32_t)(uint8_t)p->in_zero * 0x01010101u", "0u", DSP),
    Mutation("small: negative sums", "depthwise_conv2d", SMALL, "(j & (v >> 31))", "0", DSP),
    Mutation("small: clamp of the activation", "conv2d", SMALL, "v, p->act_min, p->act_max", "v, -128, 127", DSP),
    Mutation("small: lane of an element", "conv2d", SMALL_CONV, "(k >> 1 & 1u)", "(k & 1u)", DSP),
    Mutation("small: unpaired channel", "conv2d", SMALL_CONV, "if (oc + 1 < out_c)", "if (1)", DSP),
    Mutation(
        "small: unpaired pixel", "conv2d", SMALL_CONV, "    if (second) {\n        cf", "    if (0) {\n        cf", DSP
    ),
    Mutation("small: first of four", "depthwise_conv2d", SMALL_DEPTHWISE, "(in_c - 1) % 4 + 1", "4", DSP),
    Mutation("softmax: exponentials", "softmax", "include/cf_fixed.h", "quarter << i", "quarter >> i"),
    Mutation("average: unsigned bytes", "average_pool2d", "include/cf_four_sums.h", "- 128 * count", "- 127 * count"),
    Mutation("int16: bits of an addition", "add", "kernels/cf_add_s16.h", "LEFT_SHIFT 15", "LEFT_SHIFT 14"),
    Mutation("int16: a subtraction", "sub", "kernels/cf_add_s16.h", "p->b_sign * vb", "vb"),
    Mutation("int16: halves of the input", "logistic", SIGMOID, "<< p->shift) >> 1", "<< p->shift) >> 2"),
    Mutation("int16: end of the table", "tanh", SIGMOID, "step >= 255", "step > 255"),
    Mutation("int16: negative logistic", "logistic", SIGMOID, "- v + 511", "- v + 512"),
    Mutation("int16: negative tanh", "tanh", SIGMOID, "127 - v", "128 - v"),
    Mutation("int16: softmax between numbers", "softmax", SOFTMAX16, "+ 64) >> 7", ") >> 7"),
    Mutation("int16: softmax far below", "softmax", SOFTMAX16, "(x, INT16_MIN, INT16_MAX)", "(x, -32000, INT16_MAX)"),
    Mutation("int16: sum of exponentials", "softmax", SOFTMAX16, "(1u << 13)", "(1u << 12)"),
    Mutation("int16: sign of alpha", "leaky_relu", "kernels/cf_leaky_relu_s16.h", "p->negative_sign *", "1 *"),
    Mutation("int16: negative halves", "resize_bilinear", "kernels/cf_resize_bilinear_s16.h", " - (v < 0)", ""),
    Mutation("int16: start of the maximum", "max_pool2d", "kernels/cf_max_pool2d_s16.h", "acc = INT16_MIN", "acc = 0"),
    Mutation("int16: greatest of an axis", "reduce_max", "kernels/cf_reduce_max_s16.h", "acc = *xp", "acc = 0"),
)
HELIUM = (
    Mutation("vectors: halves go up", "conv2d", VECTORS, "y = vaddq_s32(y, vshrq_n_s32(y, 31));\n", "\n", MVE),
    Mutation("vectors: low clamp left out", "conv2d", VECTORS, "y = vmaxq_s32(y, vdupq_n_s32(p->low));", "", MVE),
    Mutation("vectors: odd vector skipped", "conv2d", DOTS, "bcc 2f", "bcs 2f", MVE),
    Mutation("vectors: sums in other lanes", "conv2d", DOTS, "%q[a][0], r0, r4", "%q[a][0], r4, r0", MVE),
    Mutation("vectors: padding with 0", "conv2d", CONV_MVE, "cf_mve_fill(dst, p->in_zero", "cf_mve_fill(dst, 0", MVE),
    Mutation("vectors: dilation on the border", "conv2d", CONV_MVE, "+ kx.begin * p->dilation_w)", "+ kx.begin)", MVE),
    Mutation("vectors: windows overlap", "conv2d", CONV_MVE, "? buffer : 0", "? buffer - 1 : 0", MVE),
    Mutation("vectors: last pixel twice", "conv2d", CONV_MVE, "table, y, y, !is", "table, y, y + p->out_c, !is", MVE),
    Mutation("quads: weights of another line", "depthwise_conv2d", QUADS, "vldrbq_s8(w - 1)", "vldrbq_s8(w - 4)", MVE),
    Mutation("quads: cells of another place", "depthwise_conv2d", QUADS, "(along - four)", "(along - four + 64)", MVE),
    Mutation("quads: outputs in other lanes", "depthwise_conv2d", QUADS, "{0, d, l, (uint", "{0, l, d, (uint", MVE),
    Mutation("rows: products left out", "fully_connected", DENSE_MVE, "n / 16; i > 0", "n / 16; i > 1", MVE),
    Mutation("rows: rest of another size", "fully_connected", DENSE_MVE, "(n % 16));", "(n % 8));", MVE),
    Mutation("rows: rows that are missing", "fully_connected", DENSE_MVE, "left > 2 ? w1", "left > 3 ? w1", MVE),
    Mutation("pool: halves towards zero", "average_pool2d", AVERAGE_MVE, "(count / 2)", "((count - 1) / 2)", MVE),
    Mutation("pool: sign of odd channels", "average_pool2d", AVERAGE_MVE, "vcmpltq_n_s16(sums, 0)", "0x3333", MVE),
    Mutation("pool: greatest from 0", "max_pool2d", MAX_MVE, "greatest = low;", "greatest = vdupq_n_s8(0);", MVE),
)
"""Those need QEMU."""

FAST = tuple(m for m in MUTATIONS if m.file in (AVERAGE, SOFTMAX))
"""Few that compile quickly: they run with all other tests."""


def outcome(mutation: Mutation | None, op: str) -> str | None:
    """What the kernel tests of an operator find with this bug (None: without); None if they find nothing."""
    with tempfile.TemporaryDirectory(prefix="chipfit-mutate-") as name:
        runtime = Path(name) / "runtime"
        shutil.copytree(runtime_folder(), runtime)
        if mutation:
            mutation.apply(runtime)
        original = bundle.runtime_folder
        bundle.runtime_folder = lambda: runtime
        try:
            wrong = _wrong(op, mutation.features if mutation else frozenset(), Path(name))
        finally:
            bundle.runtime_folder = original
    return wrong[0] if wrong else None


def _wrong(op: str, features: frozenset[str], folder: Path) -> list[str]:
    if features != MVE:
        return test_kernels.wrong_on_host(op, features, folder)
    try:
        return test_helium.wrong(test_helium.vector_cases(op), folder)
    except (ChipfitError, AssertionError) as problem:  # a fault of the core, or broken guards
        return [str(problem) or "the program ended in another way"]


def timed(mutation: Mutation) -> tuple[str | None, float]:
    start = time.perf_counter()
    return outcome(mutation, mutation.op), time.perf_counter() - start


def main() -> int:
    survivors = 0
    bugs = (*MUTATIONS, *(HELIUM if qemu.find_qemu() else ()))
    print(f"{'bug':<38} {'operator':<17} {'found':<5} {'s':>5}  first difference")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for mutation, (found, seconds) in zip(bugs, pool.map(timed, bugs), strict=True):
            survivors += found is None
            print(
                f"{mutation.what:<38} {mutation.op:<17} {'yes' if found else 'NO':<5} {seconds:5.1f}  {found or ''}"[
                    :160
                ]
            )
    print(f"{len(bugs)} bugs, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
