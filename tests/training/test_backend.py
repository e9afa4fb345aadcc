"""How many threads a training computes on."""

from __future__ import annotations

import os
from typing import Any

import pytest

from chipfit.training.backend import one_thread, use_threads

threadpoolctl: Any = pytest.importorskip("threadpoolctl", reason="the threadpoolctl package is not installed")

LARGE = 1 << 40
"""Multiply-accumulates of a batch for which all cores are worth their while."""


def test_one_thread_holds_for_all_that_computes(keras: Any) -> None:
    if keras.backend.backend() != "torch":
        pytest.skip("the backend decides by itself")
    import torch

    before = torch.get_num_threads()
    try:
        assert use_threads(keras, LARGE) == os.cpu_count()
        with one_thread():
            assert use_threads(keras, LARGE) == torch.get_num_threads() == 1
            assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {1}
        assert use_threads(keras, LARGE) == os.cpu_count()
    finally:
        torch.set_num_threads(before)
