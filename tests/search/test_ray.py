"""A search on a cluster of two workers."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from chipfit.deployment import Limits
from chipfit.errors import ChipfitError
from chipfit.search import Request, read_space, search
from chipfit.search import run as module
from chipfit.search.workers import OnRay
from search import fakes

pytest.importorskip("optuna", reason="the optuna package is not installed")
ray: Any = pytest.importorskip("ray", reason="the ray package is not installed")


@pytest.fixture(scope="module")
def cluster() -> Generator[str]:
    """Two workers, which find what this file defines."""
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(fakes.__file__).parents[1]))
        found: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        yield str(found.address)
        found.shutdown()


def where(_: int) -> int:
    return os.getpid()


def refusing(_: int) -> None:
    raise ChipfitError("N001", "no pictures", "some pictures")


def test_work_is_divided_and_errors_come_back(cluster: str) -> None:
    workers = OnRay(cluster)
    done: list[int] = []
    try:
        assert len(set(workers.map(where, range(8), done.append))) == 2
        assert done == list(range(1, 9))
        with pytest.raises(ChipfitError, match="no pictures") as caught:
            workers.map(refusing, [1], done.append)
        assert (caught.value.code, caught.value.hint) == ("N001", "some pictures")
    finally:
        workers.close()


def test_the_front_is_that_of_one_process(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cost_of", fakes.cost)
    monkeypatch.setattr(module, "run_trial", fakes.trial)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.png").write_bytes(b"")
    reports = [
        search(
            Request(
                read_space("small"), tmp_path / "photos", "arduino-nano-33-ble", tmp_path / str(k),
                Limits(ram=12 << 10), trials=4, ray=address,
            )
        )
        for k, address in enumerate((None, cluster))
    ]  # fmt: skip
    fronts = [[(t.point, t.integer) for t in report.front] for report in reports]
    assert fronts[0] == fronts[1]


def test_no_cluster_there() -> None:
    with pytest.raises(ChipfitError, match="there is no Ray cluster"):
        OnRay("127.0.0.1:1")
