"""Element types as the C kernels that take several of them count them (``cf_element.h``)."""

from __future__ import annotations

from chipfit.graph import DType

CODES = {
    DType.INT8: 0,
    DType.UINT8: 1,
    DType.INT16: 2,
    DType.UINT16: 3,
    DType.INT32: 4,
    DType.UINT32: 5,
    DType.INT64: 6,
    DType.BOOL: 7,
    DType.FLOAT16: 8,
    DType.FLOAT32: 9,
}

INTEGERS = tuple(d for d in CODES if not d.is_float)
FLOATS = (DType.FLOAT16, DType.FLOAT32)
