import json

import pytest

from sampling.bench import Settings, _run, prepare
from sampling.bench._methods import default_methods
from sampling.bench._train import Run
from sampling.bench._training_plan import LONG_TAIL


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
        }
        return Settings(**{**fields, **changes})

    return settings


@pytest.fixture
def trained(monkeypatch):
    """Replace training by arithmetic; return the list of jobs that were trained."""
    jobs = []

    def train(job, data, **_):
        cost = 0.9 * job.target if job.method == "infobatch" else job.budget
        if job.method == "infobatch" and job.target < 0.4:
            return Run(job.method, job.target, job.seed, job.budget, reason="unreachable: too low")
        if len(data.train) > 200:  # not the warm-up
            jobs.append(job)
        setting = {"drop_prob": 0.5}
        return Run(job.method, job.target, job.seed, job.budget, cost=cost, setting=setting)

    monkeypatch.setattr(_run, "train", train)
    return jobs


def names(jobs):
    return [(job.method, job.target, job.seed) for job in jobs]


@pytest.mark.filterwarnings("ignore:the run takes")  # four epochs leave little to prune
def test_a_real_run_is_written_and_not_done_twice(fast, tmp_path, monkeypatch):
    results = prepare(fast()).run(progress=False)
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {run["method"] for run in content["runs"]} == {"full", "rs2", "infobatch"}
    by_name = {run["method"]: run for run in content["runs"]}
    assert by_name["full"]["cost"] == 1.0
    assert by_name["rs2"]["budget"] == by_name["infobatch"]["cost"]
    assert by_name["rs2"]["cost"] == pytest.approx(by_name["infobatch"]["cost"], abs=1e-3)
    assert all(len(run["val_curve"]) == 4 for run in content["runs"])
    call = content["calls"][0]
    assert set(call) == {"arguments", "begun", "process", "versions", "hardware", "commit"}
    assert call["arguments"]["keep"] == [0.7]
    assert call["versions"]["torch"]
    assert "smoke test" in content["notes"][0]

    monkeypatch.setattr(_run, "train", None)  # a call of it would fail
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
    budgets = {(job.method, job.target): (job.budget, job.pilot) for job in trained}
    assert budgets["rs2", 0.3] == (0.3, {})  # infobatch did not reach it
    assert budgets["rs2", 0.5] == (0.45, {"drop_prob": 0.5})
    assert budgets["infobatch", 0.5] == (0.5, {})


def test_an_unreachable_target_is_a_row_and_is_not_tried_again(fast, trained):
    results = prepare(fast(keep=(0.3,))).run()
    row = results.find("infobatch", 0.3, 0)
    assert row.reason == "unreachable: too low"
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


def test_interrupted_it_keeps_what_it_has_and_goes_on(fast, trained, monkeypatch, tmp_path):
    train = _run.train

    def stop_at_rs2(job, data, **options):
        if job.method == "rs2" and len(data.train) > 200:
            raise KeyboardInterrupt
        return train(job, data, **options)

    monkeypatch.setattr(_run, "train", stop_at_rs2)
    benchmark = prepare(fast())
    benchmark.run()
    assert benchmark.interrupted
    assert benchmark.pending == 1
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [run["method"] for run in content["runs"]] == ["infobatch", "full"] or [
        run["method"] for run in content["runs"]
    ] == ["full", "infobatch"]

    monkeypatch.setattr(_run, "train", train)
    trained.clear()
    benchmark = prepare(fast())
    benchmark.run()
    assert not benchmark.interrupted
    assert benchmark.pending == 0
    assert names(trained) == [("rs2", 0.7, 0)]


def test_another_error_is_not_swallowed(fast, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(_run, "train", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        prepare(fast()).run()


def test_a_long_tail_is_drawn_for_each_seed(fast, monkeypatch):
    seen = {}

    def train(job, data, **_):
        if len(data.train) != 200:  # not the warm-up
            seen[job.method, job.seed] = data
        return Run(job.method, job.target, job.seed, job.budget, cost=1.0)

    monkeypatch.setattr(_run, "train", train)
    results = prepare(fast(imbalance=10.0, methods=None, keep=None, seeds=2)).run()
    assert {method for method, _ in seen} == set(default_methods([LONG_TAIL]))
    assert results.metric == "balanced accuracy"
    tails = [seen["uniform", 0], seen["progressive", 0], seen["uniform", 1]]
    assert tails[0].train is tails[1].train
    assert not tails[0].train.x.equal(tails[2].train.x)
    assert len(tails[0].train) == len(tails[2].train)


def test_wrong_labels_are_drawn_for_each_seed_and_told(fast, monkeypatch):
    seen = {}

    def train(job, data, **_):
        seen[job.method, job.seed, len(data.train)] = (data, job.noise)
        return Run(job.method, job.target, job.seed, job.budget, cost=1.0)

    monkeypatch.setattr(_run, "train", train)
    benchmark = prepare(fast(label_noise=0.2, methods=None, keep=None, seeds=2))
    benchmark.run()
    size = len(benchmark.data.train)
    right = benchmark.data.train.y
    noisy = [seen["late-stopping", seed, size][0].train.y for seed in (0, 1)]
    assert seen["uniform", 1, size][0].train.y is noisy[1]
    assert not noisy[0].equal(noisy[1])
    assert (noisy[0] != right).float().mean() == pytest.approx(0.2, abs=0.01)
    assert {noise for _, noise in seen.values()} == {0.2}


def test_seeds_can_begin_later_and_processes_share_a_folder(fast, trained, tmp_path):
    first = prepare(fast(methods=("full",), keep=None))
    second = prepare(fast(methods=("full",), keep=None, first_seed=3, seeds=2))  # before first ran
    first.run()
    second.run()
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    assert sorted(run["seed"] for run in content["runs"]) == [0, 3, 4]
    by_seed = {run["seed"]: content["calls"][run["call"]] for run in content["runs"]}
    assert by_seed[0]["arguments"]["first_seed"] == 0
    assert by_seed[3]["arguments"]["first_seed"] == by_seed[4]["arguments"]["first_seed"] == 3


@pytest.mark.parametrize("name", ["pruning.png", "balance.png", ".results.lock", "results.json"])
def test_files_of_others_are_refused_before_the_runs(fast, trained, tmp_path, name):
    prepare(fast()).run()  # and the empty lock of this one is no obstacle
    (tmp_path / "out" / name).write_bytes(b"mine")
    with pytest.raises(ValueError, match=f"{name}"):
        prepare(fast())
    assert (tmp_path / "out" / name).read_bytes() == b"mine"
    assert len(trained) == 3


def test_data_without_files_take_no_folder(fast):
    with pytest.raises(ValueError, match="data_dir must be omitted for digits"):
        fast(data_dir="anywhere").checked()


OTHER = {
    "epochs": ({"epochs": 5}, "results of epochs 5, got 4"),
    "batch size": ({"batch_size": 32}, "results of batch_size 32, got 256"),
    "imbalance": ({"imbalance": 10.0, "methods": ("rs2",)}, "results of imbalance 10.0, got None"),
    "noise": ({"label_noise": 0.2, "methods": ("rs2",)}, "results of label_noise 0.2, got None"),
}


@pytest.mark.parametrize(("changes", "message"), OTHER.values(), ids=OTHER.keys())
def test_a_folder_of_other_arguments_is_refused(fast, trained, changes, message):
    prepare(fast()).run()
    with pytest.raises(ValueError, match=f"out must hold {message}"):
        prepare(fast(**changes))


WRONG = {
    "dataset": ({"dataset": "cifar"}, ValueError, "dataset must be one of 'digits', 'fashion-mn"),
    "keep high": ({"keep": (0.5, 1.0)}, ValueError, r"keep must be in \(0, 1\), got 1.0"),
    "keep nan": ({"keep": (float("nan"),)}, ValueError, r"keep must be in \(0, 1\), got nan"),
    "keep none": ({"keep": ()}, ValueError, "keep must name at least one fraction, got none"),
    "method": ({"methods": ("rs3",)}, ValueError, "methods must be one of .*'rs2'.* got 'rs3'"),
    "methods none": ({"methods": ()}, ValueError, "methods must name at least one method"),
    "tail": (
        {"methods": ("uniform",)},
        ValueError,
        "suit plain data, got 'uniform', which",
    ),
    "noise": ({"methods": ("late-stopping",), "imbalance": 2.0}, ValueError, "needs label_noise"),
    "noise 1": ({"label_noise": 1.0}, ValueError, r"label_noise must be in \(0, 1\), got 1.0"),
    "first": ({"first_seed": -1}, ValueError, "first_seed must be >= 0, got -1"),
    "seeds": ({"seeds": 0}, ValueError, "seeds must be >= 1, got 0"),
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


def test_defaults_come_with_the_data():
    digits, fashion = Settings().checked(), Settings("fashion-mnist").checked()
    assert (digits.epochs, digits.batch_size) == (20, 64)
    assert (fashion.epochs, fashion.batch_size) == (10, 128)
    assert str(fashion.out) == "runs/fashion-mnist"
    assert str(Settings(imbalance=20).checked().out) == "runs/digits-imbalance-20"
    assert str(Settings(label_noise=0.2).checked().out) == "runs/digits-noise-0.2"
    assert digits.methods == (
        "full",
        "full-fewer",
        "random",
        "dynamic-random",
        "dynamic-random-weighted",
        "rs2",
        "infobatch",
        "sensitivity",
        "cluster-clip",
    )
