"""Products of parameters: a cover of all pairs in every run, the rest in `.ci/full`."""

import itertools

import pytest


def pairs(axes):
    """Parametrize a test by all combinations of some axes: names -> values, as pytest takes them.

    Every value of an axis meets every value of each other axis in some combination of every run;
    the combinations that add nothing to that are marked `full`.
    """
    names = [name.strip() for key in axes for name in key.split(",")]
    left = list(itertools.product(*(map(_param, values) for values in axes.values())))
    wanted = set(itertools.chain.from_iterable(map(_pairs, left)))
    chosen = set()
    while wanted:
        best = max(left, key=lambda combination: len(wanted & _pairs(combination)))
        chosen.add(_ids(best))
        wanted -= _pairs(best)
    params = []
    for combination in left:
        marks = [mark for each in combination for mark in each.marks]
        if _ids(combination) not in chosen:
            marks.append(pytest.mark.full)
        values = [value for each in combination for value in each.values]
        params.append(pytest.param(*values, id="-".join(_ids(combination)), marks=marks))
    return pytest.mark.parametrize(names, params)


def _param(value):
    param = value if hasattr(value, "marks") else pytest.param(value)
    name = param.id or " ".join(getattr(each, "__name__", str(each)) for each in param.values)
    return pytest.param(*param.values, id=name, marks=param.marks)


def _ids(combination):
    return tuple(each.id for each in combination)


def _pairs(combination):
    return set(itertools.combinations(enumerate(_ids(combination)), 2))


def in_turn(parametrized):
    """Leave each factory of `parametrize_with_checks` one of its slow checks, another in turn.

    The other slow ones are marked `full`: what workers and processes do is one mechanism, which
    every sampler has from its base.
    """
    names, params = parametrized.args
    slow = {}
    for param in params:
        if any(mark.name == "slow" for mark in param.marks):
            slow.setdefault(id(param.values[0]), []).append(param.id)
    kept = {ids[turn % len(ids)] for turn, ids in enumerate(slow.values())}
    others = set(itertools.chain.from_iterable(slow.values())) - kept
    return pytest.mark.parametrize(
        names,
        [
            pytest.param(*p.values, id=p.id, marks=[*p.marks, pytest.mark.full])
            if p.id in others
            else p
            for p in params
        ],
    )
