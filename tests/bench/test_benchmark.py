import json

import numpy as np
import pytest
import torch

from sampling.bench import Run, Settings, Task, _benchmark, _work, prepare, read_results
from sampling.bench.training._calibrate import calibrated

CONTROLS = ("full-fewer", "random", "dynamic-random", "rs2")


@pytest.fixture
def fast(tmp_path):
    """Return settings of a run of well under a second."""

    def settings(**changes):
        fields = {
            "methods": ("full", "rs2", "infobatch"),
            "keep": (0.7,),
            "seeds": 1,
            "epochs": 4,
            "batch_size": 256,
            "out": tmp_path / "out",
            "device": "cpu",
            "without": [name for name in CONTROLS if name not in changes.get("methods", "rs2")],
            "jobs": 1,
        }
        return Settings(**{**fields, **changes})

    return settings


@pytest.fixture
def trained(monkeypatch):
    """Replace training by arithmetic; return the list of jobs that were trained."""
    jobs = []

    def run(worker, job, calibration, after_epoch):
        cost = 0.9 * job.keep if job.method == "infobatch" else job.budget
        place = (job.method, job.keep, job.seed, job.asked)
        if job.method == "infobatch" and job.keep < 0.4:
            return Run(*place, state="unreachable", reason="unreachable: too low")
        jobs.append(job)
        return Run(*place, cost=cost, total_cost=cost, test=0.9, setting={"drop_prob": 0.5})

    monkeypatch.setattr(_work.Worker, "run", run)
    return jobs


def names(jobs):
    return [(job.method, job.keep, job.seed) for job in jobs]


@pytest.mark.filterwarnings("ignore:the run takes")  # four epochs leave little to prune
def test_a_real_run_is_written_and_not_done_twice(fast, tmp_path, monkeypatch):
    results = prepare(fast()).run(progress=False)
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    found = read_results(tmp_path / "out").runs
    by_name = {run.method: run for run in found}
    assert set(by_name) == {"full", "rs2", "infobatch"}
    assert by_name["full"].cost == 1.0
    assert by_name["rs2"].budget == by_name["infobatch"].cost
    assert by_name["rs2"].cost == pytest.approx(by_name["infobatch"].cost, abs=1e-3)
    assert all(len(run.val_curve) == len(run.cost_curve) == 4 for run in found)
    assert all(run.total_cost >= run.cost > 0 for run in found)
    assert set(content["calibration"]) == {"sample_seconds", "forward_ratio"}
    assert 'methods = ["full", "rs2", "infobatch"]' in (tmp_path / "out/plan.toml").read_text()
    call = content["calls"][by_name["full"].call]
    assert set(call) == {"arguments", "begun", "process", "versions", "hardware", "commit"}
    assert call["arguments"]["keep"] == [0.7]
    assert call["versions"]["torch"]
    assert "smoke test" in content["notes"][0]

    monkeypatch.setattr(_work.Worker, "run", None)  # a call of it would fail
    again = prepare(fast()).run(progress=False)
    assert again.runs == results.runs
    assert len(again.calls) == 1


def test_the_pilot_runs_first_and_the_rest_is_matched(fast, trained):
    prepare(fast(keep=(0.5, 0.3), methods=("random", "infobatch", "rs2", "full"))).run()
    assert names(trained) == [
        ("full", 1.0, 0),
        ("random", 0.3, 0),
        ("rs2", 0.3, 0),
        ("infobatch", 0.5, 0),
        ("random", 0.5, 0),
        ("rs2", 0.5, 0),
    ]
    budgets = {(job.method, job.keep): (job.budget, job.pilot) for job in trained}
    assert budgets["rs2", 0.3] == (0.3, {})  # infobatch did not reach it
    assert budgets["rs2", 0.5] == (0.45, {"drop_prob": 0.5})
    assert budgets["infobatch", 0.5] == (0.5, {})


def test_a_step_and_a_forward_pass_are_measured(fast):
    data = prepare(fast()).data
    found = calibrated(data, "cpu", 1, 64)
    assert 0 < found["sample_seconds"] < 1e-2
    assert 0 < found["forward_ratio"] < 1.5


def test_an_unreachable_target_is_a_row_and_is_not_tried_again(fast, trained):
    results = prepare(fast(keep=(0.3,))).run()
    row = results.find("infobatch", 0.3, 0)
    assert (row.state, row.reason) == ("unreachable", "unreachable: too low")
    assert not row.done
    trained.clear()
    prepare(fast(keep=(0.3,))).run()
    assert trained == []


def test_more_seeds_methods_and_keeps_add_only_what_is_new(fast, trained):
    prepare(fast()).run()
    trained.clear()
    prepare(fast(seeds=2, keep=(0.6, 0.7), methods=("full", "rs2", "infobatch", "random"))).run()
    assert set(names(trained)) == {
        ("random", 0.7, 0),
        *((name, 0.6, seed) for name in ("infobatch", "rs2", "random") for seed in (0, 1)),
        *((name, 0.7, 1) for name in ("infobatch", "rs2", "random")),
        ("full", 1.0, 1),
    }


def test_controls_are_done_again_once_there_is_a_cost_to_match(fast, trained):
    prepare(fast(methods=("rs2", "full"))).run()
    results = prepare(fast(methods=("rs2", "full", "infobatch"))).run()
    assert [job.budget for job in trained if job.method == "rs2"] == [0.7, 0.9 * 0.7]
    assert names(trained).count(("full", 1.0, 0)) == 1
    assert results.find("rs2", 0.7, 0).budget == 0.9 * 0.7
    trained.clear()
    prepare(fast(methods=("rs2",))).run()  # still matched, though infobatch is not asked for
    assert trained == []


def test_interrupted_it_keeps_what_it_has_and_resumes(fast, trained, monkeypatch, tmp_path):
    run = _work.Worker.run

    def stop_at_rs2(worker, job, *rest):
        if job.method == "rs2":
            raise KeyboardInterrupt
        return run(worker, job, *rest)

    monkeypatch.setattr(_work.Worker, "run", stop_at_rs2)
    benchmark = prepare(fast())
    benchmark.run()
    assert benchmark.interrupted
    assert benchmark.pending == 1
    assert {each.method for each in read_results(tmp_path / "out").runs} == {"infobatch", "full"}

    monkeypatch.setattr(_work.Worker, "run", run)
    trained.clear()
    benchmark = prepare(fast())
    benchmark.run()
    assert not benchmark.interrupted
    assert benchmark.pending == 0
    assert names(trained) == [("rs2", 0.7, 0)]


def test_an_error_of_a_run_fails_that_run_and_it_is_tried_again(fast, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(_work, "train", fail)
        results = prepare(fast(methods=("full",), keep=None)).run(progress=False)
    (run,) = results.runs
    assert run.state == "failed"
    assert run.reason.startswith("RuntimeError: no luck (test_benchmark.py, line ")
    benchmark = prepare(fast(methods=("full",), keep=None))
    assert benchmark.missing(1) == [("full", 1.0, 0)]


def test_a_control_says_that_what_it_is_matched_to_failed(fast, monkeypatch):
    def fail(job, method, *_, **__):
        raise RuntimeError("no luck")

    monkeypatch.setattr(_work, "train", fail)
    results = prepare(fast(methods=("top-k",), without=CONTROLS)).run(progress=False)
    control = results.find("full-fewer:top-k", 0.7, 0)
    assert control.reason == "is matched to the total cost of top-k, which failed"


def test_when_time_is_over_no_run_is_started(fast, trained):
    benchmark = prepare(fast(time_budget=1e-9))
    benchmark.run()
    assert trained == []
    assert benchmark.pending == 3


def test_a_method_that_scores_has_a_control_of_equal_total_cost(fast, trained):
    results = prepare(fast(methods=("top-k",), without=CONTROLS)).run()
    assert [run.method for run in results.runs] == ["full", "top-k", "full-fewer:top-k"]
    prepare(fast(methods=("top-k",), without=(*CONTROLS, "full-fewer:"), seeds=2)).run()
    assert names(trained)[-2:] == [("full", 1.0, 1), ("top-k", 0.7, 1)]


PROTOCOLS = {
    "samples": (4, 0.7, None),
    "epochs": (4, 0.7, None),
    "steps": (6, 0.7, None),
    "cost": (4, 0.7, 0.7),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols(fast, trained, protocol):
    names = ("full", "full-fewer", "rs2")
    results = prepare(fast(methods=names, protocol=protocol)).run()
    (job,) = [each for each in trained if each.method == "rs2"]
    assert (job.epochs, job.budget, job.cost_limit) == PROTOCOLS[protocol]
    fewer = results.find("full-fewer", 0.7, 0)
    assert fewer.state == ("not run" if protocol == "steps" else "done")
    trained.clear()
    prepare(fast(methods=names, protocol=protocol)).run()
    assert trained == []


def test_runs_of_several_processes_are_those_of_one(fast, tmp_path):
    """And each writes what it keeps of its samples."""
    names = {"methods": ("full", "rs2"), "epochs": 1}
    one = prepare(fast(**names)).run(progress=False)
    two = prepare(fast(**names, jobs=2, out=tmp_path / "two")).run(progress=False)
    tests = [{run.place: run.test for run in results.runs} for results in (one, two)]
    assert tests[0] == tests[1]
    assert len(list((tmp_path / "two" / "details").iterdir())) == 2


def test_a_plan_is_the_options(fast, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('data = "digits"\nmethods = ["full", "rs2"]\nkeep = [0.5]\nseeds = 2\n')
    settings = Settings.from_plan(path, seeds=3)
    assert settings == Settings("digits", methods=("full", "rs2"), keep=(0.5,), seeds=3)
    path.write_text('data = "digits"\n# more\nmethod = ["full"]\n')
    with pytest.raises(ValueError, match="got 'method' in line 3: did you mean 'methods'"):
        Settings.from_plan(path)
    path.write_text('data = "digits"\nkeep = [0.5\n')
    with pytest.raises(ValueError, match="plan.toml must be TOML, got: Unclosed array"):
        Settings.from_plan(path)


def test_seeds_can_begin_later_and_processes_share_a_folder(fast, trained, tmp_path):
    first = prepare(fast(methods=("full",), keep=None))
    second = prepare(fast(methods=("full",), keep=None, first_seed=3, seeds=2))  # before first ran
    first.run()
    second.run()
    found = read_results(tmp_path / "out")
    assert sorted(run.seed for run in found.runs) == [0, 3, 4]
    by_seed = {run.seed: found.calls[run.call] for run in found.runs}
    assert "first_seed" not in by_seed[0]["arguments"]
    assert by_seed[3]["arguments"]["first_seed"] == by_seed[4]["arguments"]["first_seed"] == 3


@pytest.mark.parametrize("name", ["runs.jsonl", "plan.toml", ".results.lock", "results.json"])
def test_files_of_others_are_refused_before_the_runs(fast, trained, tmp_path, name):
    prepare(fast()).run()  # and the empty lock of this one is no obstacle
    (tmp_path / "out" / name).write_bytes(b"mine")
    with pytest.raises(ValueError, match=f"{name}"):
        prepare(fast())
    assert (tmp_path / "out" / name).read_bytes() == b"mine"
    assert len(trained) == 3


OTHER = {
    "epochs": ({"epochs": 5}, "results of epochs 5, got 4"),
    "batch size": ({"batch_size": 32}, "results of batch_size 32, got 256"),
    "imbalance": ({"imbalance": 10.0}, "results of imbalance 10.0, got None"),
    "protocol": ({"protocol": "steps"}, "results of protocol steps, got samples"),
    "noise": ({"label_noise": 0.2}, "results of label_noise 0.2, got None"),
    "copies": ({"near_copies": 0.2}, "results of near_copies 0.2, got None"),
    "limit": ({"limit": 500}, "results of limit 500, got None"),
    "rate": ({"learning_rate": 0.2}, "results of learning_rate 0.2, got None"),
}


@pytest.mark.parametrize(("changes", "message"), OTHER.values(), ids=OTHER.keys())
def test_a_folder_of_other_arguments_is_refused(fast, trained, changes, message):
    prepare(fast()).run()
    with pytest.raises(ValueError, match=f"out must hold {message}"):
        prepare(fast(**changes))


def own(seed=0):
    """Return a task of its own data, for which no number of seeds is fixed."""
    x = np.random.RandomState(seed).rand(60, 2).astype(np.float32)  # noqa: NPY002
    y = np.arange(60) % 2
    return Task((x, y), (x, y), lambda: torch.nn.Linear(2, 2), val=(x, y), name="own")


def test_a_folder_of_other_data_of_the_same_name_is_refused(fast, trained):
    given = {"methods": ("full",), "keep": None, "batch_size": 16}
    prepare(fast(data=own(), **given)).run()
    with pytest.raises(ValueError, match="out must hold results of data "):
        prepare(fast(data=own(1), **given))


TOLD = {  # of the data, and the settings: planned evaluations, seeds of the pilot
    "fixed by the data": ({"seeds": None}, (1, 0)),
    "fixed by the user": ({"seeds": 5}, (None, 0)),
    "from a pilot": ({"data": own(), "seeds": None}, (None, 3)),
    "planned": ({"data": own(), "seeds": None, "evaluations": 4}, (4, 3)),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_the_verdicts_are_told(fast, monkeypatch, case):
    told = []
    monkeypatch.setattr(_benchmark, "verdicts", lambda *_, **given: told.append(given) or told)
    changes, wanted = TOLD[case]
    prepare(fast(batch_size=16, **changes)).evaluation()
    assert (told[0]["planned"], told[0]["pilot"]) == wanted


@pytest.fixture
def measured_tests(monkeypatch):
    """Replace training by given values of the test metric; return them and the runs."""
    seen, values = [], {}

    def run(worker, job, *_):
        seen.append((job.method, job.keep, job.seed))
        found = values.get(job.method, lambda keep, seed: 0.9)(job.keep, job.seed)
        place = (job.method, job.keep, job.seed, job.asked)
        if found is None:
            return Run(*place, state="failed", reason="no luck")
        return Run(*place, cost=job.budget, total_cost=job.budget, test=found)

    monkeypatch.setattr(_work.Worker, "run", run)
    return values, seen


@pytest.mark.parametrize("spread", [0.0, 0.01])
def test_the_number_of_seeds_follows_from_the_pilot(fast, measured_tests, spread):
    values, seen = measured_tests
    values["rs2"] = lambda keep, seed: 0.9 + spread * (seed % 3 - 1)
    given = {"data": own(), "seeds": None, "methods": ("rs2", "full"), "batch_size": 16}
    benchmark = prepare(fast(**given, first_seed=4, max_seeds=9, margin=0.5))
    pilot = []
    plan = benchmark._planned_seeds
    benchmark._planned_seeds = lambda shown: pilot.extend(seen) or plan(shown)
    benchmark.run(progress=False)
    assert [seed for name, _, seed in pilot if name == "rs2"] == [4, 5, 6]
    last = 4 + (9 if spread else 5) - 1  # none is needed where all differences are equal
    assert [seed for name, _, seed in seen if name == "rs2"] == list(range(4, last + 1))
    assert benchmark.has_verdicts
    assert benchmark._planned_seeds(False) == last - 3


def test_three_seeds_have_no_verdicts_and_earlier_ones_count(fast, trained):
    assert not prepare(fast(seeds=3)).has_verdicts
    assert prepare(fast(seeds=4)).has_verdicts
    prepare(fast(seeds=3, methods=("full",), keep=None)).run()
    assert prepare(fast(seeds=1, first_seed=3)).has_verdicts


def test_a_table_with_verdicts_is_an_evaluation_that_the_folder_remembers(
    fast, measured_tests, tmp_path
):
    measured_tests[0]["rs2"] = lambda keep, seed: 0.9 + 0.01 * (seed % 3 - 1)
    given = {"methods": ("rs2", "full"), "margin": 1.0}
    benchmark = prepare(fast(seeds=5, **given))
    benchmark.run(progress=False)
    for each in (benchmark, prepare(fast(seeds=5, **given))):
        each.table()
        assert len(read_results(tmp_path / "out").evaluations) == 1
    before = benchmark.evaluation()
    assert benchmark.evaluation() is before  # computed once
    benchmark.results.add(Run("rs2", 0.7, 4, 0.7, test=0.95))
    assert benchmark.evaluation().verdicts[0].mean > before.verdicts[0].mean
    more = prepare(fast(seeds=7, **given))
    more.run(progress=False)
    more.table()
    assert len(read_results(tmp_path / "out").evaluations) == 2


def test_a_limit_is_found_from_the_first_seed_on(fast, measured_tests):
    """The pilot locates the step, by three seeds of each rate; the tests take all their seeds."""
    values, seen = measured_tests
    values["rs2"] = lambda keep, seed: (0.9 if keep >= 0.5 else 0.8) + 0.001 * (seed % 3)
    given = {"find_limit": True, "methods": ("rs2",), "keep": (0.3, 0.5, 0.7), "seeds": None}
    benchmark = prepare(fast(**given, first_seed=10, margin=1.0))
    benchmark.run(progress=False)
    limit = benchmark.limits()["rs2"]
    assert (limit.non_inferior_up_to, limit.inferior_from) == (0.5, 0.3)
    seeds = {keep: [s for m, k, s in seen if (m, k) == ("rs2", keep)] for keep in (0.3, 0.5, 0.7)}
    assert limit.seeds > 3
    assert seeds[0.5] == seeds[0.3] == list(range(10, 10 + limit.seeds))
    assert seen.index(("rs2", 0.5, 12)) < seen.index(("rs2", 0.3, 10))
    assert len(seen) == len(set(seen))  # full data once too


def test_a_limit_is_not_looked_for_again_and_again_where_runs_fail(fast, measured_tests):
    values, seen = measured_tests
    values["rs2"] = lambda keep, seed: None
    given = {"find_limit": True, "methods": ("rs2",), "keep": (0.3, 0.5), "seeds": None}
    prepare(fast(**given, margin=1.0)).run(progress=False)
    assert len(seen) == len(set(seen)) == 6


WRONG = {
    "keep high": ({"keep": (0.5, 1.0)}, ValueError, r"keep must be in \(0, 1\), got 1.0"),
    "keep nan": ({"keep": (float("nan"),)}, ValueError, r"keep must be in \(0, 1\), got nan"),
    "keep none": ({"keep": ()}, ValueError, "keep must name at least one fraction, got none"),
    "method": (
        {"methods": ("rs3",)},
        ValueError,
        "methods must be names of .* got 'rs3': did you mean 'rs2'",
    ),
    "methods none": ({"methods": ()}, ValueError, "methods must name at least one method"),
    "noise 1": ({"label_noise": 1.0}, ValueError, r"label_noise must be in \(0, 1\), got 1.0"),
    "first": ({"first_seed": -1}, ValueError, "first_seed must be >= 0, got -1"),
    "seeds": ({"seeds": 0}, ValueError, "seeds must be >= 1, got 0"),
    "seeds high": ({"seeds": 10**12}, ValueError, "seeds must be <= 10000, got 1000000000000"),
    "first high": ({"first_seed": 2**64}, ValueError, "first_seed must be <= 4294957296, got 1844"),
    "seeds type": ({"seeds": 1.5}, TypeError, "seeds must be an int, got 1.5"),
    "epochs": ({"epochs": 0}, ValueError, "epochs must be >= 1, got 0"),
    "batch size": ({"batch_size": -1}, ValueError, "batch_size must be >= 1, got -1"),
    "imbalance": ({"imbalance": 1.0}, ValueError, r"imbalance must be in \(1, inf\), got 1.0"),
    "device": ({"device": "abacus"}, ValueError, "device must be one that torch can use.*'abacus'"),
    "meta": ({"device": "meta"}, ValueError, "device must be one that torch can use here"),
}


@pytest.mark.parametrize(("changes", "kind", "message"), WRONG.values(), ids=WRONG.keys())
def test_settings_are_checked_before_anything_is_touched(fast, tmp_path, changes, kind, message):
    with pytest.raises(kind, match=message):
        prepare(fast(**changes))
    assert not (tmp_path / "out").exists()


def test_defaults_come_with_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ready = prepare(Settings())
    assert (ready.jobs.epochs, ready.jobs.batch_size, ready.fixed_seeds) == (20, 64, 5)
    assert str(ready.folder) == "runs/digits"
    assert str(prepare(Settings(imbalance=20)).folder) == "runs/digits-imbalance-20"
    assert str(prepare(Settings(label_noise=0.2)).folder) == "runs/digits-noise-0.2"
    assert list(ready.jobs.methods) == [
        "full",
        "full-fewer",
        "random",
        "dynamic-random",
        "dynamic-random-weighted",
        "rs2",
        "infobatch",
        "sensitivity",
        "cluster-clip",
        "full-fewer:sensitivity",
    ]
    controls = ["full", "full-fewer", "random", "dynamic-random", "rs2"]
    assert list(prepare(Settings(methods="rs2", out="b")).jobs.methods) == controls
