"""`--help` imports no function, so that options repeat what functions say: both are compared."""

import re
from dataclasses import fields
from inspect import signature
from typing import get_type_hints

import typer

from sampling import bench, clustering, embedding, io, reports, scores, selection, testing
from sampling.bench._settings import KEEP, PROTOCOLS
from sampling.bench.tasks._builtin import DATASETS
from sampling.cli import app
from sampling.cli._shared import choices
from sampling.scores._logits import _STORED
from sampling.selection.core._options import Options
from sampling.testing._matrix import LOADERS

COMMANDS = typer.main.get_command(app).commands
DYNAMICS = scores.TrainingDynamics.scores
CHOICES = {
    ("bench", "data"): DATASETS,
    ("bench", "protocol"): PROTOCOLS,
    ("contracts", "loaders"): LOADERS,
    ("dedup", "on_bad"): get_type_hints(Options)["on_bad"].__args__,
    ("dedup", "rule"): choices(selection.semdedup, "rule"),
    ("embed", "dtype"): choices(embedding.embed, "dtype"),
    ("embed", "on_bad"): choices(embedding.embed, "on_bad"),
    ("embed", "pooling"): choices(embedding.embed, "pooling")[0].__args__,
    ("embed", "precision"): choices(embedding.embed, "precision"),
    ("export", "order"): choices(io.export_rows, "order"),
    ("report", "map_"): choices(reports.write_selection_report, "layout"),
    ("score", "kinds"): _STORED,
    ("score", "of"): choices(scores.score_stored, "of"),
    ("score", "missing"): choices(DYNAMICS, "missing"),
}
DEFAULTS = {
    ("cluster", "iterations"): (clustering.kmeans, "n_iter"),
    ("cluster", "seed"): (clustering.kmeans, "seed"),
    ("contracts", "ranks"): (testing.cells, "ranks"),
    ("contracts", "workers"): (testing.cells, "workers"),
    ("dedup", "num_assignments"): (selection.semdedup, "num_assignments"),
    ("dedup", "rule"): (selection.semdedup, "rule"),
    **{
        ("embed", name): (embedding.embed, name)
        for name in ("batch_size", "dtype", "normalise", "on_bad", "precision")
    },
    ("export", "order"): (io.export_rows, "order"),
    ("export", "rows_per_shard"): (io.export_rows, "rows_per_shard"),
    ("export", "weights"): (io.export_rows, "weights"),
    ("report", "map_"): (reports.write_selection_report, "layout"),
    ("report", "seed"): (reports.write_selection_report, "seed"),
    ("score", "missing"): (DYNAMICS, "missing"),
    ("score", "of"): (scores.score_stored, "of"),
}


def option(command, name):
    return next(each for each in COMMANDS[command].params if each.name == name)


def test_the_help_of_every_option_is_a_phrase():
    """As in "Seed of every random decision.", and not "Seed." or "Seed: an int."."""
    for command in COMMANDS.values():
        for each in command.params:
            words = re.split(r"[:;,(]", each.help)[0].split()
            good = len(words) >= 3 and each.help[0].isupper() and each.help.endswith(".")
            assert good or each.name == "help", f"{command.name} {each.name}: {each.help}"


def test_the_help_names_every_choice():
    for (command, name), known in CHOICES.items():
        missing = [word for word in known if word not in option(command, name).help]
        assert known
        assert not missing, f"{command} {name} does not name {missing}"


def test_every_setting_of_the_benchmark_is_an_option():
    settings = {each.name: each.default for each in fields(bench.Settings)}
    found = {each.name: each.default for each in COMMANDS["bench"].params}
    assert set(settings) == set(found) - {"dry_run", "list_", "debug", "help"}
    for name, default in settings.items():
        plain = default is None or isinstance(default, bool)
        shown = None if default == () else default if plain else str(default)
        assert found[name] == shown, name
    assert f"default {','.join(map(str, KEEP))}." in option("bench", "keep").help


def test_defaults_are_those_of_the_functions():
    for (command, name), (function, argument) in DEFAULTS.items():
        default = signature(function).parameters[argument].default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        assert str(option(command, name).default) == shown, f"{command} {name}"
