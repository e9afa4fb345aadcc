"""What tests of deployments share: a compiler that remembers."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from chipfit.emulate import toolchain
from deployment.compiled import remembering


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Generator[None]:
    """Deployments compile the same kernels over and over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toolchain, "_compile", remembering(toolchain._compile))  # pyright: ignore[reportPrivateUsage]
        yield
