"""Keyword arguments: refuse unknown ones with a remedy, and record them for `repr`.

The decorator `@told`, on a function or a class, is the only mechanism. The error for an unknown
keyword names the callable that the user called, not an inner one, and a remedy: our name for that
of torch or scikit-learn, our most similar name, or the callables that accept the keyword. A class
also gets a `repr` that shows its constructor arguments.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from operator import length_hint
from typing import Any, TypeVar, get_args

import numpy as np

T = TypeVar("T", bound=Callable[..., Any])

LONG = 60  # characters of an argument in short form


class Text(str):
    """An annotation, or a default that is described: printed in a signature without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


_HERE: list[Callable[..., Any]] = []  # all decorated callables, to find those that accept a keyword

# Names in other libraries, and ours for them: the first that the callable accepts is suggested.
_OURS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("generator", "rng", "random_state", "random_seed", "data_seed", "shuffle_seed"), ("seed",)
    ),
    **dict.fromkeys(
        ("world_size", "num_ranks", "num_shards", "num_processes", "nranks"), ("num_replicas",)
    ),
    **dict.fromkeys(("shard_id", "shard_index", "local_rank", "process_index"), ("rank",)),
    **dict.fromkeys(
        ("dataset", "data", "source", "n", "N", "length"),
        ("data_source", "sampler", "lengths", "table", "size"),
    ),
    **dict.fromkeys(
        ("labels", "label", "targets", "target", "y", "y_true", "classes", "class_ids"),
        ("labels", "groups", "clusters"),
    ),
    **dict.fromkeys(("domain", "domain_ids", "sources"), ("domains", "groups")),
    **dict.fromkeys(("group", "group_ids", "within"), ("outer", "groups")),
    **dict.fromkeys(("cluster", "cluster_ids", "assignments"), ("clusters",)),
    **dict.fromkeys(
        ("indices", "idx", "index", "subset", "mask"), ("indices", "selection", "primary", "rows")
    ),
    **dict.fromkeys(("epochs", "n_epochs", "max_epochs", "total_epochs"), ("num_epochs",)),
    **dict.fromkeys(
        ("num_samples", "num_draws", "epoch_size", "n_samples", "length_before_new_iter", "size"),
        ("num_samples", "budget", "total"),
    ),
    "budget": ("keep", "num_samples"),
    **dict.fromkeys(("lam", "lambda_", "lmbda", "reg"), ("redundancy", "regularization", "ridge")),
    **dict.fromkeys(
        ("train_size", "k", "num_select", "n_select", "fraction", "ratio", "keep", "keep_fraction")
        + ("samples_fraction", "keep_per_round"),
        ("budget", "keep", "samples_per_class", "num_neighbours", "n_clusters"),
    ),
    **dict.fromkeys(
        ("prune_ratio", "pruning_ratio", "prune_rate", "drop_fraction"),
        ("drop_prob", "budget", "keep"),
    ),
    **dict.fromkeys(("replace", "with_replacement"), ("replacement",)),
    **dict.fromkeys(
        ("weights", "weight", "sample_weights", "class_weights", "probabilities", "probs", "ratios")
        + ("proportions", "p", "pi"),
        ("weights", "target", "pi"),
    ),
    **dict.fromkeys(("drop_remainder", "round_up", "even_batches"), ("drop_last",)),
    **dict.fromkeys(("m", "num_instances", "n_per_class"), ("samples_per_class",)),
    **dict.fromkeys(("num_classes", "n_classes", "P"), ("classes_per_batch", "num_classes")),
    **dict.fromkeys(
        ("max_duration", "max_num", "tokens_per_batch", "token_budget"), ("max_tokens",)
    ),
    **dict.fromkeys(
        ("X", "features", "feats", "embedding", "vectors", "data"), ("embeddings", "rows")
    ),
    **dict.fromkeys(("n_clusters", "num_clusters"), ("n_clusters", "clusters", "num_strata")),
    **dict.fromkeys(("similarity_threshold", "eps", "similarity"), ("threshold",)),
    **dict.fromkeys(("n_neighbors", "num_neighbors"), ("num_neighbours", "k")),
    **dict.fromkeys(("losses", "loss", "score", "values"), ("losses", "scores", "values")),
    **dict.fromkeys(("criterion", "loss_function"), ("loss_fn",)),
    **dict.fromkeys(("stopping_strategy", "stop_strategy"), ("stop",)),  # datasets.interleave
    **dict.fromkeys(  # detectron2, mmdet
        ("repeat_thresh", "repeat_threshold", "oversample_thr"), ("threshold",)
    ),
    **dict.fromkeys(("temp", "T", "temperature", "tau", "beta"), ("temperature", "alpha")),
    **dict.fromkeys(("out", "output", "file", "filename"), ("path", "folder")),
}

# Keywords without an equivalent here, and what to do instead.
_LOADERS = (
    "num_workers",
    "pin_memory",
    "collate_fn",
    "prefetch_factor",
    "persistent_workers",
    "worker_init_fn",
    "timeout",
)
_ADVICE: dict[str, str] = {
    "num_epochs": "omit num_epochs: the draws of an epoch do not depend on their number",
    "shuffle": "omit shuffle: the order is shuffled again in each epoch, by seed and set_epoch",
    "batch_size": "give batch_size to DataLoader, or to EpochBatchSampler(sampler, batch_size)",
    **dict.fromkeys(
        ("epoch", "start_epoch", "initial_epoch", "last_epoch"),
        "call set_epoch(epoch), not {}",
    ),
    **dict.fromkeys(_LOADERS, "give {} to DataLoader"),
}
_SIZES = (  # what says how large the batches of a batch sampler are
    "groups_per_batch",
    "classes_per_batch",
    "samples_per_class",
    "max_tokens",
    "max_batch_size",
)
_NOTES: dict[str, str] = {  # added to our name if the value differs too
    "generator": ", an int, such as generator.initial_seed()",
    "rng": ", an int",
    "random_state": ", an int",
    "local_rank": ", counted over all machines",
    "even_batches": " or pad",
    "mask": ", as np.flatnonzero(mask)",
}
_PRUNED = {word for word, ours in _OURS.items() if ours[0] == "drop_prob"}


def told(thing: T) -> T:
    """Make a function, method or class refuse unknown keywords under its own name when called."""
    if inspect.isclass(thing):
        for base in thing.__mro__:
            for each in vars(base).values() if base.__module__.startswith("sampling.") else ():
                _unquote(getattr(each, "__func__", each))
        _tell_class(thing)
        _HERE.append(thing)
        return thing
    _unquote(thing)
    method = "." in thing.__qualname__ and "<locals>" not in thing.__qualname__

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            known = _accepted(thing)
            if known is not None and not kwargs.keys() <= known.keys():
                owner = args[0] if method and args else None
                name = thing.__name__
                if owner is not None:
                    owner = owner if inspect.isclass(owner) else type(owner)
                    name, known = f"{owner.__name__}.{name}", dict.fromkeys([*known][1:])
                refuse(name, kwargs, known, thing.__module__)
        _refuse_places(thing, thing.__name__, args, kwargs, first=method)
        return thing(*args, **kwargs)

    if not method:
        _HERE.append(call)
    return call  # type: ignore[return-value]  # the same signature


def _unquote(function: Any) -> None:
    """Let signatures print annotations as the source has them: `ArrayLike`, not 'ArrayLike'."""
    if inspect.isfunction(function):
        notes = function.__annotations__
        notes |= {name: Text(note) for name, note in notes.items() if isinstance(note, str)}


def refuse(name: str, given: Iterable[str], known: Iterable[str], module: str = "") -> None:
    """Raise for unknown keywords; `module` is where callables that accept them are looked up."""
    known = list(known)
    wrong = [each for each in given if each not in set(known)]
    if not wrong:
        return
    remedies = dict.fromkeys(_remedy(each, known, module) for each in wrong)
    found = "; ".join(each for each in (*remedies, f"its keywords are {', '.join(known)}") if each)
    plural = "s" if len(wrong) > 1 else ""
    raise TypeError(f"{name} takes no keyword{plural} {', '.join(map(repr, wrong))}: {found}")


def _refuse_places(
    function: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], first: bool = False
) -> None:
    """Refuse too many arguments by position, and one by position and by keyword.

    first : whether the first argument is the object itself
    """
    if len(args) < 2 and not kwargs:  # noqa: PLR2004  # the most frequent call
        return
    places = _places(function)
    if places is None:
        return
    twice = [each for each in places[: len(args)] if each in kwargs]
    if not twice and len(args) <= len(places):
        return
    rest = [each for each in _accepted(function) or () if each not in places]
    order = ", ".join(places[first:]) or "none"
    found = (
        f"{twice[0]!r} by position and by keyword" if twice else f"{len(args) - first} arguments"
    )
    keywords = f"; by keyword: {', '.join(rest)}" if rest else ""
    raise TypeError(f"{name} takes by position, in this order: {order}{keywords}; got {found}")


@functools.lru_cache(maxsize=1024)
def _places(function: Any) -> tuple[str, ...] | None:
    """Return the names of arguments that may be given by position; None if any number may."""
    parameters = _signature(function).parameters.values()
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(each.name for each in parameters if each.kind in by_place)


def refuse_rest(made: type, given: Mapping[str, Any], keywords: Any) -> None:
    """Refuse keywords that a class with `**options` passed to a class that does not accept them.

    keywords : the TypedDict of the accepted keywords
    """
    if given.keys() <= keywords.__annotations__.keys():
        return
    named = [each for each in _signature(made).parameters.values() if each.kind != each.VAR_KEYWORD]
    passed_on = filter(None, map(_accepted, (base for base in made.__mro__ if base is not object)))
    rest = next(passed_on, keywords.__annotations__)  # those of the first class that states them
    known = dict.fromkeys([*(each.name for each in named), *rest, *keywords.__annotations__])
    refuse(made.__name__, given, known, made.__module__)


def _remedy(word: str, known: list[str], module: str) -> str:
    ours = [each for each in _OURS.get(word, ()) if each in known]
    if ours:
        note = _NOTES.get(word, "")
        if word in _PRUNED and ours[0] != "drop_prob":
            note = f", the fraction to keep, 1 - {word},"
        return f"write {ours[0]}{note} instead of {word}"
    made = [each for each in _SIZES if each in known]
    if word in ("batch_size", "sampler") and made:
        return (
            f"it makes the batches itself, of a size that {' and '.join(made)} give"
            f"{'s' * (len(made) == 1)}: give it to DataLoader as batch_sampler="
        )
    if word in _ADVICE and {"sampler", "auto_epoch"} & set(known):
        return _ADVICE[word].format(word)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    for meant in (word, *_OURS.get(word, ())):
        names = _takers(meant, module)
        if names and "sampler" in known:
            return f"pass {meant} to the inner sampler"
        if names:
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            return f"{meant} is a keyword of {', '.join(names[:6])}{more}"
    foreign = difflib.get_close_matches(word, [*_OURS, *_ADVICE], n=1, cutoff=0.8)
    return _remedy(foreign[0], known, module) if foreign and foreign[0] != word else ""


def _takers(word: str, module: str) -> list[str]:
    """Return the callables that accept a keyword in the package of a module, loaded by then."""
    part = ".".join(module.split(".")[:2])
    near = [each for each in _HERE if part != "" and each.__module__.startswith(f"{part}.")]
    return sorted({each.__name__ for each in near if word in (_accepted(each) or ())})


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a callable; for a class, that of `__init__` without `self`."""
    if not inspect.isclass(function):
        return inspect.signature(function)
    found = inspect.signature(function.__init__)
    return found.replace(parameters=list(found.parameters.values())[1:], return_annotation=function)


@functools.cache
def _accepted(function: Callable[..., Any]) -> dict[str, None] | None:
    """Return the keywords that a callable accepts, including `Unpack[Keywords]`; None if any."""
    known: dict[str, None] = {}
    for parameter in _signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            keywords = _keywords_of(function, parameter)
            if keywords is None:
                return None
            known |= dict.fromkeys(keywords.__annotations__)
        elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            known[parameter.name] = None
    return known


def _keywords_of(function: Any, parameter: inspect.Parameter) -> Any:
    """Return the TypedDict of `**options: Unpack[Keywords]`; None for any other parameter."""
    if parameter.kind is not parameter.VAR_KEYWORD:
        return None
    named = re.fullmatch(r"(?:\w+\.)*Unpack\[(\w+)\]", str(parameter.annotation))
    if isinstance(parameter.annotation, str) and named:  # as its module defers evaluation
        made = function.__init__ if inspect.isclass(function) else function
        found = inspect.unwrap(made).__globals__.get(named[1])
    else:
        found = next(iter(get_args(parameter.annotation)), None)
    return found if hasattr(found, "__annotations__") else None


# ------------------------------------------------------------------ classes


class _Signature:
    """Signature of a class, which `__new__` would hide from `inspect`."""

    def __get__(self, made: object, owner: type) -> inspect.Signature:
        return _shown(owner)


_DEFAULTS: dict[Any, Mapping[str, Any]] = {}  # of keywords, by their TypedDict


def defaults(keywords: Any, values: Mapping[str, Any]) -> None:
    """State the defaults of all keywords of a TypedDict, for the signatures of classes, in order.

    A class with other defaults states them in its `_option_defaults`: see `own_defaults`.
    """
    _DEFAULTS[keywords] = values


def own_defaults(owner: type) -> dict[str, Any]:
    """Return the defaults of options that a class and its bases state in `_option_defaults`."""
    found: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        found |= vars(base).get("_option_defaults", {})
    return found


@functools.cache
def _shown(owner: type) -> inspect.Signature:
    """Return the signature of a class for `help` and completion: with its options spelled out."""
    found, own = _signature(owner), own_defaults(owner)
    fields_ = fields(owner) if is_dataclass(owner) else ()
    made = {f.name: f.default_factory for f in fields_ if f.default_factory is not MISSING}
    shown: list[inspect.Parameter] = []
    for each in found.parameters.values():
        if each.name.startswith("_"):
            continue  # a private field
        keywords = _keywords_of(owner, each)
        if keywords in _DEFAULTS:
            for name, default in _DEFAULTS[keywords].items():
                note = Text(keywords.__annotations__[name].__forward_arg__)
                one = inspect.Parameter(name, each.KEYWORD_ONLY, default=default, annotation=note)
                shown.append(one.replace(default=own.get(name, default)))
        elif each.name in made:  # `{}`, not "<factory>"
            shown.append(each.replace(default=Text(short(made[each.name]()))))
        else:
            shown.append(each)
    return found.replace(parameters=shown, return_annotation=found.empty)


def _tell_class(owner: Any) -> None:  # a class, whose attributes are set
    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        known = _accepted(cls)
        if known is not None and not kwargs.keys() <= known.keys():
            refuse(cls.__name__, kwargs, known, cls.__module__)
        _refuse_places(cls, cls.__name__, args, kwargs)
        made = super(owner, cls).__new__(cls)
        if described:
            object.__setattr__(made, "_given", _described(cls, args, kwargs))
        record = getattr(cls, "_record_arguments", None)
        if record is not None:
            record(made, _signature(cls), args, kwargs)
        return made

    if any("__new__" in vars(base) and "_told" in vars(base) for base in owner.__mro__):
        return  # inherited
    described = not is_dataclass(owner)
    new.__name__, new.__qualname__ = "__new__", f"{owner.__qualname__}.__new__"
    owner.__new__ = new
    owner._told = True
    owner.__signature__ = _Signature()
    if owner.__repr__ is object.__repr__:
        owner.__repr__ = _repr
    elif hasattr(owner.__repr__, "__wrapped__"):  # made by `dataclass`
        owner.__repr__ = _repr_of_fields


def _described(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return constructor arguments in short form, without references to the objects."""
    try:
        bound = _signature(cls).bind_partial(*args, **kwargs)
    except TypeError:  # `__init__` will raise the error
        return {}
    given: dict[str, str] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            given |= {each: short(found) for each, found in value.items()}
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            given["*" + name] = short(value)
        else:
            given[name] = short(value)
    return given


def _repr(made: Any) -> str:  # of any decorated class
    given = {**made.__dict__.get("_given", {}), **getattr(made, "_found", dict)()}
    return f"{type(made).__name__}({', '.join(f'{name}={each}' for name, each in given.items())})"


def _repr_of_fields(made: Any) -> str:  # of a decorated dataclass
    given = [f"{f.name}={_values(getattr(made, f.name))}" for f in fields(made) if f.repr]
    return f"{type(made).__name__}({', '.join(given)})"


def _values(value: Any) -> str:  # any field
    """Return a field in short form; of a result such as counts of groups, the numbers."""
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.size <= 8:
        listed = [f"{v:.6g}" if isinstance(v, float) else repr(v) for v in value.tolist()]
        return f"[{', '.join(listed)}]"
    return short(value)


def short(value: Any) -> str:  # any argument
    """Return an argument in short form: an array as its type and shape. Nothing is read.

    Never raises: an object of others may have any attributes, and its properties may fail.
    """
    try:
        return _short(value)
    except Exception:  # whatever its attributes raise
        return f"<{type(value).__name__}>"


def _short(value: Any) -> str:  # any argument
    shape, dtype = _array_parts(value)
    if shape == () and dtype is not None and hasattr(value, "item"):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex | bytes | str):
        return _cut(repr(value))
    if "_given" in getattr(value, "__dict__", ()):
        return _cut(repr(value), 2 * LONG)
    kind = type(value).__name__
    if shape is not None and dtype is not None:
        return f"<{str(dtype).removeprefix('torch.')} {tuple(shape)}>"
    if inspect.isroutine(value) or inspect.isclass(value):
        return f"<{getattr(value, '__name__', kind)}>"
    if isinstance(value, list | tuple | dict) and len(value) <= 8:
        try:
            text = json.dumps(value, default=_not_plain)
        except (TypeError, ValueError):
            text = ""
        if 0 < len(text) <= LONG:
            return repr(value)
    if hasattr(type(value), "__len__"):
        return f"<{kind} of {length_hint(value)}>"
    return f"<{kind}>"


def _array_parts(value: Any) -> tuple[Any, Any]:  # any argument
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    array = hasattr(value, "__array__") or hasattr(value, "detach")  # others may have a shape too
    return (shape, dtype) if array and isinstance(shape, tuple) else (None, None)


def _not_plain(value: object) -> None:
    raise TypeError(f"values must be plain, got a {type(value).__name__}")


def _cut(text: str, length: int = LONG) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
