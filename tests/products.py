"""Products of parameters: a cover of all pairs in every run, the rest in `.ci/full`."""

import itertools

import pytest

STARTING = "-S1"  # the check that starts a process, which no mark says


def pairs(axes):
    """Parametrize a test by all combinations of some axes: names -> values, as pytest takes them.

    Every value of an axis meets every value of each other axis in some combination of every run;
    the combinations that add nothing to that, or have a value marked `full`, are marked `full`.
    """
    whole = _product(axes)
    left = [each for each in whole if not any(_is_full(value) for value in each)]
    wanted = set(itertools.chain.from_iterable(map(_pairs, left)))
    chosen = set()
    while wanted:
        best = max(left, key=lambda combination: len(wanted & _pairs(combination)))
        chosen.add(_ids(best))
        wanted -= _pairs(best)
    return _parametrized(axes, whole, chosen)


def turns(axes):
    """Parametrize a test by all combinations, with one of every run for each value of the first.

    The first axis goes through the combinations of the others in turn; the rest is marked `full`.
    For what is one mechanism, which every value of the first axis has from its base.
    """
    whole = _product(axes)
    firsts = list(dict.fromkeys(each[0].id for each in whole))
    others = len(whole) // len(firsts)
    chosen = {_ids(whole[turn * others + turn % others]) for turn in range(len(firsts))}
    return _parametrized(axes, whole, chosen)


def rounds(axes, times=2):
    """Parametrize a test by all combinations, with each value of each axis `times` times in a run.

    In another company each time, as far as there is one; the rest is marked `full`. For values that
    meet in one mechanism, where each must be seen and no pair of them is a case of its own.
    """
    whole = _product(axes)
    kept = [
        [each for each in map(_param, values) if not _is_full(each)] for values in axes.values()
    ]
    sizes = [len(values) for values in kept]
    strides = _strides(sizes)
    shifts = [strides[:k].count(stride) for k, stride in enumerate(strides)]
    chosen = {
        tuple(
            values[(turn // stride + shift * again) % len(values)].id
            for values, stride, shift in zip(kept, strides, shifts, strict=True)
        )
        for again in range(times)
        for turn in range(max(sizes))
    }
    return _parametrized(axes, whole, chosen)


def _strides(sizes):
    """Return how many turns each axis keeps a value: they count on as digits, while all are met."""
    longest, step, found = sizes.index(max(sizes)), 1, []
    for k, size in enumerate(sizes):
        is_digit = k != longest and size * step <= max(sizes)
        found.append(step if is_digit else 1)
        step *= size if is_digit else 1
    return found


def _product(axes):
    return list(itertools.product(*(list(map(_param, values)) for values in axes.values())))


def _is_full(param):
    return any(mark.name == "full" for mark in param.marks)


def _parametrized(axes, whole, chosen):
    """Parametrize by the whole product; what is not chosen is marked `full`."""
    names = [name.strip() for key in axes for name in key.split(",")]
    params = []
    for combination in whole:
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


def in_turn(parametrized, few=(), share=3):
    """Leave each factory of `parametrize_with_checks` one of its slow checks, another in turn.

    The other slow ones are marked `full`: what workers and processes do is one mechanism, which
    every sampler has from its base.

    few   : factories, such as further cases of a class that another stands for, which keep no slow
            check and one in `share` of their others, others in turn
    """
    names, params = parametrized.args
    slow, quick = {}, {}
    for param in params:
        is_slow = any(mark.name == "slow" for mark in param.marks) or param.id.endswith(STARTING)
        (slow if is_slow else quick).setdefault(id(param.values[0]), []).append(param.id)
    others = set(itertools.chain.from_iterable(slow.values()))
    alone = [ids for factory, ids in slow.items() if factory not in set(map(id, few))]
    others -= {ids[turn % len(ids)] for turn, ids in enumerate(alone)}
    for turn, factory in enumerate(few):
        others |= {each for at, each in enumerate(quick[id(factory)]) if (at + turn) % share}
    return pytest.mark.parametrize(
        names,
        [
            pytest.param(*p.values, id=p.id, marks=[*p.marks, pytest.mark.full])
            if p.id in others
            else p
            for p in params
        ],
    )
