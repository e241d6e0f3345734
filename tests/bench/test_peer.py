"""The system before as a baseline, played by a stub checkout."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import peer, serving
from bench.cases import Dataset
from bench.errors import BenchError
from bench.serving import (
    ANALYTICS,
    BUSY_HEALTH,
    DAILY,
    HEALTH,
    ROOM,
    UNCHANGED,
    PeerTimings,
    ServingTimings,
)
from demo.errors import DemoError
from readmodel.store import snapshot

STUB = """
import os
import polars as pl
from fastapi import FastAPI, HTTPException, Request

votes = pl.read_parquet("data/fpp_votes.parquet")
assert os.environ["DB_HOST"] and votes.schema["voted_at"].time_zone is None
assert votes.height == VOTES
app = FastAPI()


@app.get("/health")
def health():
    return {"status": "ok"}


@app.get("/")
@app.get("/room/{room_id}/stats")
@app.get("/daily-analytics")
def figures(request: Request):
    if request.headers["authorization"] != os.environ["ANALYTICS_SECRET_TOKEN"]:
        raise HTTPException(401)
    return {}
"""


def make_checkout(folder: Path, main: str) -> Path:
    """A folder with the programs of the system before, run by this Python."""
    for name in peer.PROGRAMS:
        place = folder / name
        if place.suffix:
            place.write_text(main)
        else:
            place.mkdir()
    python = folder / peer.PYTHON
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


@pytest.mark.long("test_a_system_that_does_not_start_shows_its_last_lines")
def test_the_system_before_is_timed_beside_ours(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the same rows as plain files, and its checkout stays as it is."""
    rows = snapshot.current(small.data_dir).scan("fpp_votes")
    count = rows.collect().height
    folder = make_checkout(tmp_path, STUB.replace("VOTES", str(count)))
    found = peer.checkout(str(folder))
    assert found == folder
    monkeypatch.setattr(serving, "SECONDS", 0.0)
    before = serving.measure_peer(found, small)
    assert [timing.request for timing in before.requests] == [
        HEALTH,
        ANALYTICS,
        ROOM,
        DAILY,
    ]
    assert not (folder / "data").exists()
    assert_compared(before)


def assert_compared(before: PeerTimings) -> None:
    """The tables and targets of an API that is exactly as fast."""
    (first, *_) = before.requests
    more = [replace(first, request=name) for name in (UNCHANGED, BUSY_HEALTH)]
    ours = ServingTimings(1, [*before.requests, *more], 1.0, 1.1, 1, 1, before)
    *_, compared, memory = serving.tables(ours)
    rows = compared.splitlines()[2:]
    assert [row.split("|")[-2].strip() for row in rows] == ["1.0"] * 4
    assert "MB at most" in memory
    names = [target.name for target in serving.check_targets(ours)]
    assert names[:2] == [f"before ÷ ours, {ANALYTICS}", f"before ÷ ours, {ROOM}"]


def test_a_system_that_does_not_start_shows_its_last_lines(
    small: Dataset, tmp_path: Path
) -> None:
    """Its reason, not a time-out."""
    folder = make_checkout(tmp_path, "raise SystemExit('no such thing')")
    with (
        pytest.raises(DemoError, match="no such thing"),
        peer.running_peer(folder, small.data_dir),
    ):
        raise AssertionError("it is ready")


def test_another_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    """It names what is missing: programs, or the Python to run them with."""
    assert peer.checkout(None) is None
    assert peer.checkout("") is None
    with pytest.raises(
        BenchError, match="is no checkout of the system before"
    ) as first:
        peer.checkout(str(tmp_path))
    assert str(first.value).endswith(
        "main.py, update_readmodel.py, calculations, routers"
    )
    for name in peer.PROGRAMS:
        (tmp_path / name).mkdir()
    with pytest.raises(
        BenchError, match=r"has no \.venv/bin/python: run `uv sync` there"
    ):
        peer.checkout(str(tmp_path))
