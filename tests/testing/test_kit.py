"""The kit itself: what it says, what it leaves alone, and how pytest sees it."""

import itertools
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import RandomSampler, SequentialSampler

from sampling import Selection
from sampling.samplers import SubsetSampler, WeightedSampler
from sampling.testing import (
    ContractError,
    check_batch_sampler,
    check_sampler,
    parametrize_with_checks,
)
from sampling.testing._global_state import states
from sampling.testing._other_data import over_other_data
from sampling.testing._processes import on_two_ranks
from sampling.testing._registry import CHECKS
from sampling.testing._report import report_on
from sampling.testing._settings import changes, restored, settings
from sampling.testing._subject import Subject, drain, keywords

from .good import Good, GoodBatches, hashed
from .mutants_any_loader import AddsSeedAndEpoch, PassesDataSource, YieldsNumpy


def test_a_failure_says_what_was_seen_why_it_matters_and_how_to_mend_it():
    with pytest.raises(ContractError, match="AddsSeedAndEpoch: 28 pass, 1 fail, 2 not") as raised:
        check_sampler(AddsSeedAndEpoch)
    said = str(raised.value)
    assert "C8  A sampler mixes seed and epoch into every order." in said
    assert "Seen: seed 1 in epoch 0 draws the order of seed 0 in epoch 1" in said
    assert "Why it matters: Without both, a run cannot be repeated" in said
    assert "How to fix it: Take `seed` and `set_epoch(epoch)`" in said


def test_all_failures_come_in_one_error():
    class Both(YieldsNumpy, AddsSeedAndEpoch):
        pass

    with pytest.raises(ContractError, match=r"C3 .*\n(.*\n)*.*C8 "):
        check_sampler(Both)


def test_expected_failures_are_strict():
    reasons = {"C8": "adds seed and epoch"}
    report = check_sampler(AddsSeedAndEpoch, expected_failures=reasons)
    assert [r.seen for r in report.results if r.status == "expected failure"] == [*reasons.values()]
    with pytest.raises(ContractError, match="C8 .*\n  Seen: it passes, though it was expected to"):
        check_sampler(Good, expected_failures=reasons)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expected_failures": {"C99": "?"}}, r"expected_failures must name checks, got \['C99'\]"),
        ({"only": ["D9"]}, r"only must name checks of .*, got \['D9'\]"),
    ],
)
def test_unknown_lines_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        check_sampler(Good, **options)


def results(report):
    return {result.id: (result.status, result.seen) for result in report.results}


def test_what_a_sampler_does_not_have_breaks_one_line_and_leaves_the_rest():
    def sequential(size=40):
        return SequentialSampler(range(size))

    found = results(report_on("sequential", sequential, "sampler"))
    assert found["C8"] == ("not applicable", "takes no seed and needs none: one fixed order")
    assert found["R1"][0] == "not applicable"
    assert found["R1"][1].startswith("takes no ranks: a global view")
    assert found["D1"] == ("not applicable", "has no state_dict(consumed=...) (see D3)")
    assert found["D3"] == ("fail", "has no state_dict and load_state_dict")


def test_one_that_cannot_be_made_breaks_c1_only():
    found = results(report_on("it", PassesDataSource, "sampler"))
    assert found.pop("C1")[0] == "fail"
    assert set(found.values()) == {("not applicable", "cannot be constructed (see C1)")}


def test_a_check_that_crashes_has_failed_and_says_where():
    class Crashes(Good):
        def share(self, draws):
            raise KeyError("nothing")

    found = results(report_on("it", Crashes, "sampler", only=["C3"]))
    assert found["C3"][0] == "fail"
    assert found["C3"][1].startswith("KeyError: 'nothing' (in share, test_kit.py:")


def test_an_epoch_too_short_to_stop_in_is_said():
    def short(size=12, **options):
        return Good(size, **options)

    found = results(report_on("it", short, "sampler"))
    assert found["T1"] == (
        "not applicable",
        "an epoch has 2 batches, fewer than the 7 of this check",
    )


def test_the_global_random_states_are_put_back():
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = states()
    check_sampler(Good, only=["C7", "C8", "C9"])
    assert states() == before


def changed():
    """Change one setting of each kind; returns a word of what the kit says of each."""
    sys.excepthook = sys.unraisablehook = print
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    warnings.simplefilter("ignore", BytesWarning)
    os.environ["OF_A_SAMPLER"] = "1"
    logging.root.setLevel(logging.CRITICAL)
    logging.root.addHandler(logging.NullHandler())
    np.seterr(over="print")
    np.set_printoptions(precision=2)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_printoptions(precision=2)
    torch.backends.cudnn.deterministic = True
    torch.utils.data.DataLoader.__iter__ = torch.randperm = print
    found = (
        "sys.excepthook, sys.unraisablehook, SIGUSR1, warnings.filters, OF_A_SAMPLER, the level "
    )
    found += "of the root, the handlers of the root, np.geterr(), np.get_printoptions(), default "
    found += "dtype, default device, print options, deterministic, DataLoader, randperm"
    return found.split(", ")


def test_every_setting_that_changes_is_named_and_put_back():
    before = settings()
    with warnings.catch_warnings(), restored():
        words = changed()
        found = changes(before, settings())
    assert changes(before, settings()) == []
    for word in words:
        assert sum(word in text for text in found) >= 1, (word, found)
    # A default device given by its name, the host's too, moves what `as_tensor` gets.
    assert torch.as_tensor(torch.empty(1, device="meta")).is_meta


def test_what_a_sampler_changes_is_put_back_after_each_check():
    class Changes(Good):
        def __init__(self, size=103, **options):
            super().__init__(size, **options)
            os.environ["OF_A_SAMPLER"] = "1"

    before = settings()
    found = results(report_on("it", Changes, "sampler", only=["G1", "C3"]))
    assert found["G1"][0] == "fail"
    assert "construction changes os.environ, OF_A_SAMPLER, from nothing to '1'" in found["G1"][1]
    assert found["C3"][0] == "pass"
    assert changes(before, settings()) == []


class Rows(Good):
    """Draws by data that the kit cannot find in the factory, and refuses the state of others."""

    careful = True

    def __init__(self, first, seed=0):
        super().__init__(103, seed)
        self.first = first

    def key(self, epoch):
        return hashed(self.seed, epoch, self.first)

    def state(self, epoch, consumed):
        kept = {"first": self.first} if self.careful else {}
        return {**super().state(epoch, consumed), **kept}

    def load_state_dict(self, state):
        if state.get("first", self.first) != self.first:
            raise ValueError(f"first must be {self.first}, got {state['first']}")
        super().load_state_dict(state)


class CarelessRows(Rows):
    careful = False


def test_other_data_are_given_where_none_are_found():
    def of(kind, first):
        return lambda seed=0: kind(first, seed)

    said = "no array that it draws by is found in the factory: give other=, a factory with other"
    (result,) = check_sampler(of(CarelessRows, 5), only="S2").results
    assert (result.status, result.seen) == ("not applicable", f"{said} data")
    (result,) = check_sampler(of(Rows, 5), other=of(Rows, 6), only="S2").results
    assert result.status == "pass"
    with pytest.raises(ContractError, match="other data is accepted: that of `other`"):
        check_sampler(of(CarelessRows, 5), other=of(CarelessRows, 6), only="S2")
    ((_, check),) = (
        parameters(
            parametrize_with_checks({"it": of(CarelessRows, 5)}, others={"it": of(CarelessRows, 6)})
        )["it-S2"].values,
    )
    with pytest.raises(ContractError, match="other data is accepted: that of `other`"):
        check(of(CarelessRows, 5))
    with pytest.raises(ValueError, match=r"others must name factories, got \['no'\]"):
        parametrize_with_checks({"it": Good}, others={"no": Good})


SHARES = np.array([1.0, 2.0, 3.0])


def of_the_module(**options):
    return WeightedSampler(SHARES, **options)


def of_the_closure(shares):
    return lambda **options: WeightedSampler(shares, **options)


TENSOR = torch.tensor([1.0, 2.0, 3.0])


def of_a_default(shares=TENSOR, **options):
    return WeightedSampler(shares, **options)


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (of_the_module, "SHARES"),
        (lambda **options: of_the_module(**options), "SHARES"),
        (of_the_closure(SHARES), "shares"),
        (of_the_closure([1.0, 2.0, 3.0]), "shares"),
        (of_a_default, "shares"),
        (partial(WeightedSampler, SHARES), "argument 0"),
        (partial(WeightedSampler, weights=(1.0, 2.0, 3.0)), "weights"),
        (partial(lambda shares, **o: WeightedSampler(shares, **o), SHARES, seed=1), "argument 0"),
        (partial(SubsetSampler, Selection(np.array([3, 1, 2]))), "argument 0.indices"),
    ],
)
def test_the_arrays_of_a_factory_are_found_and_changed(factory, name):
    found = dict(over_other_data(factory))
    assert list(found) == [f"{name} shifted by one row", f"{name} with rows 0 and 1 swapped"]
    state = factory().state_dict()
    for made in found.values():
        with pytest.raises(ValueError, match="same data and arguments"):
            made().load_state_dict(state)
    assert SHARES.tolist() == [1.0, 2.0, 3.0]


def test_data_that_make_no_difference_are_no_fault():
    rows = np.full(40, 1.0)
    assert list(over_other_data(partial(WeightedSampler, rows))) == []
    report = report_on("it", lambda **o: SubsetSampler(sorted(ROWS), **o), "sampler", only="S2")
    assert report.results[0].status == "not applicable"


ROWS = [5, 3, 1, 8, 9]

SCRIPT = """
from sampling.testing import check_sampler
from testing.good import Good, hashed

class HashesAString(Good):
    def key(self, epoch):
        return hashed(self.seed, epoch, hash("epoch %d" % epoch))

print("begins")
try:
    check_sampler(HashesAString, only="S1")
except AssertionError as error:
    print(error)
check_sampler(Good, only="S1")
"""


@pytest.mark.full
def test_a_script_without_a_guard_is_run_up_to_its_first_check(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("begins") == 1
    assert "in another process: item 0 is" in done.stdout
    assert done.stderr == ""


def test_a_random_sampler_reads_like_this():
    """The reasons that a user of torch's most used sampler is given."""
    found = results(report_on("it", lambda size=103: RandomSampler(range(size)), "sampler"))
    assert found["C2"] == ("fail", "RandomSampler is a RandomSampler")
    assert found["C7"] == ("fail", "a pass changes the global state of torch")
    assert found["C8"] == ("fail", "takes no seed")
    assert found["T4"][1] == "neither it nor its iterator has state_dict and load_state_dict"


@pytest.mark.parametrize(
    ("factory", "taken"),
    [
        (lambda: None, set()),
        (lambda seed=0: None, {"seed"}),
        (lambda size=3, **options: None, {"size", "seed", "num_replicas", "rank", "drop_last"}),
    ],
)
def test_a_factory_says_what_it_takes_by_its_signature(factory, taken):
    assert keywords(factory) == taken


def test_ranks_and_seed_go_only_to_factories_that_take_them():
    given = []
    subject = Subject(lambda seed=0, **_: given.append(seed), "sampler")
    subject.make(seed=3, rank=1)
    assert given == [3]
    assert Subject(lambda: "made", "sampler").make(seed=3, rank=1) == "made"


def test_endless_samplers_end():
    with pytest.raises(ContractError, match="no end after 1000000 items"):
        drain(itertools.count())
    with pytest.raises(ContractError, match="no end after"):
        check_sampler(lambda: itertools.cycle([0]), only=["C3"])


def parameters(decorator):
    names, params = decorator.mark.args
    assert names == ("factory", "check")
    return {param.id: param for param in params}


def test_pytest_gets_one_test_for_each_sampler_and_line():
    found = parameters(
        parametrize_with_checks(
            {"good": Good, "numpy": YieldsNumpy},
            workers=(0, 2),
            distributed=True,
            marks={"workers": pytest.mark.slow, "processes": [pytest.mark.distributed]},
            expected_failures={"numpy": {"C3": "yields numpy integers"}},
        )
    )
    lines = [line for line, check in CHECKS.items() if "sampler" in check.kinds]
    assert {f"good-{line}" for line in lines} < set(found)
    assert [mark.name for mark in found["good-T1-workers2"].marks] == ["slow"]
    assert [mark.name for mark in found["good-R4"].marks] == ["distributed"]
    assert not found["good-T1"].marks
    (xfail,) = found["numpy-C3"].marks
    assert xfail.kwargs == {
        "strict": True,
        "reason": "yields numpy integers",
        "raises": ContractError,
    }
    factory, check = found["numpy-C3"].values
    with pytest.raises(ContractError, match="C3 .*\n  Seen: an index is a int64"):
        check(factory)
    factory, check = found["good-D4"].values
    with pytest.raises(pytest.skip.Exception, match="takes no losses"):
        check(factory)


def test_pytest_gets_the_lines_of_batch_samplers():
    found = parameters(parametrize_with_checks({"it": GoodBatches}, kind="batch sampler"))
    assert {"it-L3", "it-H3", "it-R3"} < set(found)
    assert "it-R4" not in found


def test_expected_failures_must_be_of_a_factory():
    with pytest.raises(ValueError, match=r"expected_failures must name factories, got \['other'\]"):
        parametrize_with_checks({"good": Good}, expected_failures={"other": {}})


def test_every_check_says_why_and_how():
    for line, check in CHECKS.items():
        assert check.id == line
        assert check.why.endswith(".")
        assert check.fix.endswith(".")
        assert not check.title.endswith(".")


def test_batch_samplers_are_held_to_more():
    report = check_batch_sampler(GoodBatches)
    assert {"L3", "H3", "R3"} <= {result.id for result in report.results}


@pytest.mark.slow
@pytest.mark.distributed
def test_two_ranks_answer_or_say_what_happened():
    from torch import distributed as dist

    def work(rank):
        value = torch.tensor(float(rank + 1))
        dist.all_reduce(value)
        return rank, value.item()

    assert on_two_ranks(work) == [(0, 3.0), (1, 3.0)]

    def fails(rank):
        raise ValueError(f"no {rank}")

    with pytest.raises(ContractError, match=r"rank 0 of 2 raised ValueError: no 0 \(in fails, "):
        on_two_ranks(fails)
