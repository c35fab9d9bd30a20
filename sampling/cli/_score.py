"""The command that computes scores from model outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from ._shared import (
    AsJson,
    Beside,
    Debug,
    Tables,
    answer,
    bars,
    choices,
    embeddings_in,
    refusals,
    refuse_given,
    words,
)

if TYPE_CHECKING:
    from ..io import Table

_OF_SCORES = ("least", "mean", "most")


def score(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    kinds: Annotated[
        str,
        typer.Argument(
            metavar="KIND,...",
            help="Scores to compute: el2n, entropy, margin, confidence; with --of dynamics "
            "its own, or all.",
        ),
    ],
    table: Tables,
    out: Annotated[Path, typer.Option(help="Path of the file of scores to write.")] = Path(
        "scores.parquet"
    ),
    of: Annotated[
        str, typer.Option(help="What the input holds: logits, probabilities or dynamics.")
    ] = "logits",
    labels: Annotated[
        str | None, typer.Option(help="Column of the labels, or a .npy file of class numbers.")
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            help="Column or tensor with the logits or probabilities, if there are several; a "
            "pattern such as 'logit_*' selects one column per class, logit_2 before logit_10."
        ),
    ] = None,
    beside: Beside = None,
    missing: Annotated[
        str,
        typer.Option(
            help="What to do about samples with too few observations, with --of dynamics: raise or "
            "nan."
        ),
    ] = "raise",
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Compute scores of rows from model outputs.

    Each score is a column of a Parquet file, which records its direction. Methods that need hard
    rows, such as ccs, use the direction; top keeps the highest values regardless of it. Use --of
    dynamics for a file of `TrainingDynamics.save`.

    sampling score el2n,margin logits.npy --labels labels.npy --out scores.parquet

    sampling score el2n table.parquet --values 'logit_*' --labels label

    sampling score aum,forgetting run.safetensors --of dynamics

    sampling select ccs scores.parquet --budget 0.1 --with scores=margin
    """
    with refusals(debug, context, kinds="kinds", embeddings="values"):
        from .. import _check, io, scores

        if of == "dynamics":
            none = "with --of dynamics, whose file holds all inputs"
            refuse_given(context, ["labels", "values", "beside"], none)
        else:
            refuse_given(context, ["missing"], "without --of dynamics: every row has a score")
        if all(each.endswith(".npy") for each in table):
            refuse_given(context, ["values"], "for a .npy file, which holds one array")
        asked, classes = words(kinds), tuple[str, ...]()
        source = [*table, *(beside or [])]
        if labels is not None and labels.endswith(".npy"):
            source.append(labels)
        io.check_outputs(io.score_outputs(out), io.paths_read(source))
        _check.choice("of", of, (*choices(scores.score_stored, "of"), "dynamics"))
        _check.choice("missing", missing, choices(scores.TrainingDynamics.scores, "missing"))
        with io.unchanged(source), bars() as progress:
            if of == "dynamics":
                if len(table) > 1:
                    raise ValueError(f"table must be one file with --of dynamics, got {table}")
                dynamics = scores.TrainingDynamics.from_file(table[0])
                found = dynamics.scores(
                    None if asked == ["all"] else asked,
                    missing=cast(Literal["raise", "nan"], missing),
                )
            else:
                opened = io.open_table(table, embeddings=values, beside=beside or ())
                classes, given = _labelled(asked, opened, labels, of)
                found = scores.score_stored(
                    asked,
                    embeddings_in(opened),
                    given,
                    of=cast(Literal["logits", "probabilities"], of),
                    progress=progress,
                )
            tables: list[Any] = [table, *source[len(table) :]]
            inputs = [io.digests(each, progress=progress) for each in tables]
        info = {"inputs": inputs, "of": of, "classes": list(classes)}
        io.save_scores(found, out, info=info)
        facts = [_facts(name, each) for name, each in found.items()]
        if as_json:
            answer({"rows": len(next(iter(found.values()))), "scores": facts, "out": str(out),
                    "classes": list(classes)})  # fmt: skip
            return
        if classes:
            what = of if labels is None else f"classes 0 to {len(classes) - 1}"
            print(f"{what}: {io.columns_text(classes)}")
        _print_facts(facts)
        print("written:", out)


def _labelled(
    asked: list[str], table: Table, labels: str | None, of: str
) -> tuple[tuple[str, ...], Any]:
    """Return the class columns and the labels, which are read first because they are small."""
    from .. import io, scores

    classes, given = io.class_columns(table, labelled=labels is not None), None
    if labels is not None and labels.endswith(".npy"):
        given = io.read_vector(labels)
    elif labels is not None:
        given = table.column(labels)
    shape = table.embeddings_shape
    if shape is not None:
        kind = cast(Literal["logits", "probabilities"], of)
        scores.check_stored(asked, shape, given, of=kind)
    return classes, given


def _print_facts(facts: list[dict[str, Any]]) -> None:
    for each in facts:
        print("{name:<14} higher is {higher_is}: {least} to {most}, mean {mean}".format(**each))


def _facts(name: str, found: Any) -> dict[str, Any]:  # Score, unloaded
    """Return the report of a score; None for its values if there is no sample."""
    seen = found.values[found.values == found.values]  # without NaN
    facts = {"least": seen.min(), "mean": seen.mean(), "most": seen.max()} if seen.size else {}
    rounded = {word: float(f"{facts[word]:.4g}") if facts else None for word in _OF_SCORES}
    return {"name": name, "higher_is": found.higher_is, "scored": int(seen.size), **rounded}
