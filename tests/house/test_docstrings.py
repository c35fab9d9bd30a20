"""Docstrings are part of the interface: their parameters are those of the signature."""

import ast
import dataclasses
import functools
import importlib
import inspect
import re
import textwrap
import typing

from sampling.samplers import EpochOptions, EpochSampler

from . import for_each

PACKAGES = [
    "io",
    "selection",
    "reports",
    "samplers",
    "batch_selection",
    "training",
    "scores",
    "weighting",
    "clustering",
    "embedding",
    "labeling",
    "engine",
    "distributed",
    "bench",
    "integrations",
    "testing",
]
SECTIONS = ["Parameters", "Attributes", "Returns", "Raises", "Notes", "Examples"]
NOTES = ["Order", "Cost", "Gradients", "Source"]


def public():
    """(package, name, object) of everything in an `__all__`."""
    for package in ["", *PACKAGES]:
        module = importlib.import_module(f"sampling.{package}".rstrip("."))
        for name in module.__all__:
            thing = getattr(module, name)
            if not inspect.ismodule(thing) and not typing.is_typeddict(thing):
                yield package, name, thing


PUBLIC = list(public())
CLASSES = [each for each in PUBLIC if inspect.isclass(each[2])]
SAMPLERS = [
    each
    for each in CLASSES
    if each[0] == "samplers" and issubclass(each[2], EpochSampler) and each[2] is not EpochSampler
]


def methods():
    """(package, Class.method, function) of the public methods and properties, each once."""
    seen = set()
    for package, name, cls in CLASSES:
        for method in dir(cls):
            raw = inspect.getattr_static(cls, method)
            function = raw.fget if isinstance(raw, property) else getattr(cls, method)
            plain = inspect.unwrap(getattr(function, "__func__", function))
            is_ours = str(getattr(function, "__module__", "")).startswith("sampling")
            if method.startswith("_") or not inspect.isroutine(function) or not is_ours:
                continue
            if not function.__doc__ and inspect.getdoc(function):
                continue  # documented where a base class defines it
            if plain not in seen:
                seen.add(plain)
                yield package, f"{name}.{method}", function


METHODS = list(methods())


def each(cases):
    """Decorate a check of one public thing."""
    holds = for_each(cases, lambda case: f"{case[0]}.{case[1]}".lstrip("."))
    return lambda check: holds(functools.wraps(check)(lambda case: check(case[2])))


def sections_of(thing):
    """Section -> its lines, in the order of the docstring."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    found, current = {}, None
    for line, under in zip(lines, [*lines[1:], ""], strict=True):
        if under and set(under) == {"-"} and len(under) == len(line):
            current = found.setdefault(line, [])
        elif current is not None and set(line) != {"-"}:
            current.append(line)
    return found


def entries_of(section):
    """Names of a section's entries; `a, b : int` are two."""
    heads = [line for line in section if line and not line[0].isspace()]
    return [name.strip() for head in heads for name in head.partition(" : ")[0].split(",")]


def arguments_of(thing):
    """Names of the arguments as a docstring writes them: `**options` with its stars."""
    function = thing.__init__ if inspect.isclass(thing) else thing
    if dataclasses.is_dataclass(thing) and inspect.isclass(thing):
        return [field.name for field in dataclasses.fields(thing) if field.init]
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(function).parameters.values()
    return [stars.get(p.kind, "") + p.name for p in parameters if p.name not in {"self", "cls"}]


def keywords_of(thing):
    """The names that `**options: Unpack[Keywords]` stands for."""
    function = thing.__init__ if inspect.isclass(thing) else thing
    (keywords,) = typing.get_args(typing.get_type_hints(function)["options"])
    return list(keywords.__annotations__)


@each(PUBLIC)
def test_everything_public_has_a_docstring(thing):
    assert "__doc__" in vars(thing) or not inspect.isclass(thing)
    assert inspect.getdoc(thing)
    first = inspect.getdoc(thing).splitlines()[0]
    assert first.endswith((".", ":")), first
    assert thing.__doc__ != getattr(dict, "__doc__", None)


@each(METHODS)
def test_every_public_method_has_a_docstring(thing):
    assert thing.__doc__


@each(PUBLIC + METHODS)
def test_documented_parameters_are_those_of_the_signature(thing):
    documented = sections_of(thing).get("Parameters")
    if documented is None:
        return
    names, arguments = entries_of(documented), arguments_of(thing)
    if "**options" in arguments and "**options" not in names:  # then each of them is documented
        at = arguments.index("**options")
        arguments[at : at + 1] = keywords_of(thing)
    elif inspect.isclass(thing) and issubclass(thing, EpochSampler) and "**options" in arguments:
        known = {*arguments, *EpochOptions.__annotations__}
        own = [name for name in inspect.signature(thing).parameters if name not in known]
        arguments[-1:-1] = own  # the options of its family alone are documented by each
    # `num_replicas, rank` may be one entry in torch's order; otherwise the signature's order holds
    assert names == arguments


@each(CLASSES)
def test_classes_document_their_parameters(thing):
    """Unless their attributes are their fields, as in a record that only we make."""
    sections = sections_of(thing)
    if not arguments_of(thing) or issubclass(thing, Exception) or getattr(thing, "_is_protocol", 0):
        return
    documented = sections.get("Parameters")
    if documented is None and dataclasses.is_dataclass(thing):
        documented = sections["Attributes"]
    assert documented is not None
    assert entries_of(documented)


@each(PUBLIC + METHODS)
def test_sections_come_in_one_order(thing):
    known = [name for name in sections_of(thing) if name in SECTIONS]
    assert known == [name for name in SECTIONS if name in known]
    unknown = set(sections_of(thing)) - set(SECTIONS)
    assert not unknown


@each(CLASSES)
def test_documented_attributes_exist(thing):
    names = entries_of(sections_of(thing).get("Attributes", []))
    source = "\n".join(
        inspect.getsource(cls) for cls in thing.__mro__ if cls.__module__.startswith("sampling")
    )
    for name in names:
        fields = [f.name for f in dataclasses.fields(thing)] if _is_record(thing) else []
        set_somewhere = re.search(rf"self\.{name}\b[^=\n]*=", source)
        assert hasattr(thing, name) or name in fields or set_somewhere, name


def _is_record(thing):
    return dataclasses.is_dataclass(thing)


@each(SAMPLERS)
def test_notes_of_a_sampler_say_order_cost_and_gradients(thing):
    notes = sections_of(thing)["Notes"]
    heads = [line for line in notes if line and not line[0].isspace()]
    assert heads[:3] == NOTES[:3]
    assert heads == [name for name in NOTES if name in heads]
    for head, under in zip(notes, notes[1:], strict=False):
        if head in heads:  # a definition list: the word on its own line, its text indented
            assert re.match(r"    \S", under), head


@each(SAMPLERS)
def test_a_sampler_shows_an_example_and_says_what_it_refuses(thing):
    sections = sections_of(thing)
    assert any(line.startswith(">>>") for line in sections["Examples"])
    assert entries_of(sections["Parameters"])[-1] == "**options"


@each(SAMPLERS)
def test_shapes_are_stated_for_arrays(thing):
    """`array of shape (...)`, never a bare array."""
    for section in ("Parameters", "Attributes"):
        for line in sections_of(thing).get(section, []):
            head = line.partition(" : ")[2] if line and not line[0].isspace() else ""
            if "array" in head:
                assert re.search(r"\([A-Z+1,. a-z]*\)", head), line


def test_examples_do_not_hide_behind_skip():
    """An example that is skipped is not an example, but for the two that train a model."""
    skipped = [name for _, name, thing in PUBLIC if "doctest: +SKIP" in (thing.__doc__ or "")]
    assert skipped == []


@for_each(["", *PACKAGES], repr)
def test_all_is_sorted_and_true(package):
    module = importlib.import_module(f"sampling.{package}".rstrip("."))
    assert module.__all__ == sorted(module.__all__)
    assert module.__doc__
    for name in module.__all__:
        assert hasattr(module, name)


@each(CLASSES)
def test_docstrings_are_written_in_ascii_but_for_names(thing):
    """Typographic dashes and quotes come from elsewhere than a keyboard."""
    odd = set(re.findall(r"[^\x00-\x7f]", thing.__doc__)) - set("öüäéßøåñçł")
    assert not odd


@each(METHODS)
def test_signatures_are_annotated(thing):
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    function = tree.body[0]
    assert function.returns is not None
