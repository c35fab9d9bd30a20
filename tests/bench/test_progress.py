"""Lines on what is done, where no terminal shows a bar."""

from types import SimpleNamespace

import pytest

from sampling.bench import _progress
from sampling.bench._progress import Progress
from sampling.bench.results._run import FAILED, Run


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(_progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def run(seed):
    return Run("rs2", 0.5, seed, 0.5, test=0.75)


def test_lines_come_now_and_then_and_at_once_for_a_failure_and_the_end(clock, capsys):
    with Progress(6, "accuracy", True) as bar:
        lines = []
        for seed, seconds in enumerate((1, 11, 1, 1, 1)):
            clock.seconds += seconds
            failure = Run("rs2", 0.5, 3, 0.5, state=FAILED, reason="no luck")
            bar.done(failure if seed == 3 else run(seed))
            lines.append(capsys.readouterr().err)
        clock.seconds += 1
        bar.done(run(5))
        lines.append(capsys.readouterr().err)
    assert lines == [
        "",
        "2/6 rs2 keep 0.5 seed 1: accuracy 0.7500\n",  # too early to tell the time left
        "",
        "4/6 rs2 keep 0.5 seed 3: no luck; about 0.1 min left\n",  # 2 of 3.5 seconds each
        "",
        "6/6 rs2 keep 0.5 seed 5: accuracy 0.7500; about 0.0 min left\n",
    ]


def test_nothing_is_shown_where_nothing_is_asked_for(clock, capsys):
    with Progress(1, "accuracy", False) as bar:
        bar.begin(("rs2", 0.5, 0))
        bar.done(run(0))
    assert capsys.readouterr().err == ""
