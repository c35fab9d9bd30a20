"""The command that embeds texts or images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .._files._remote import is_remote
from ._shared import AsJson, Debug, answer, bars, parse, refusals


def embed(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Table with a column of texts or images, named as in `sampling select`, or a "
            "folder of images.",
        ),
    ],
    model: Annotated[
        Path,
        typer.Option(
            help="Folder of a model of transformers or sentence-transformers, in safetensors."
        ),
    ],
    text: Annotated[str | None, typer.Option(help="Column of the texts.")] = None,
    image: Annotated[
        str | None, typer.Option(help="Column of the images: bytes of a file, or its path.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Path of the .npy file to write; a manifest is saved next to it.")
    ] = Path("embeddings.npy"),
    pooling: Annotated[
        str | None,
        typer.Option(
            help="What is made of the hidden states: mean, cls, max, last or pooler; by default "
            "what the folder of the model names."
        ),
    ] = None,
    max_tokens: Annotated[
        str | None, typer.Option(metavar="INT", help="Number of tokens at which texts are cut.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Text put before each text, such as 'passage: '.")
    ] = None,
    normalise: Annotated[bool, typer.Option(help="Divide rows by their norm.")] = True,
    dtype: Annotated[str, typer.Option(help="Type of the rows: float16 or float32.")] = "float16",
    precision: Annotated[
        str, typer.Option(help="Type the model computes in: float32, bfloat16 or float16.")
    ] = "float32",
    batch_size: Annotated[
        str, typer.Option(metavar="INT", help="Number of texts or images computed together.")
    ] = "32",
    on_bad: Annotated[
        str,
        typer.Option(
            help="What to do about a row without a text, or whose image is damaged: raise or nan."
        ),
    ] = "raise",
    device: Annotated[
        str | None,
        typer.Option(help="Device to compute on, such as cpu or cuda:1; by default a GPU if any."),
    ] = None,
    num_threads: Annotated[
        str | None, typer.Option("--threads", metavar="INT", help="Number of threads of torch.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Embed texts or images by a model on disk.

    Row i of the .npy file belongs to row i of the table, so that `sampling select`, `dedup` and
    `cluster` read it with --beside. Nothing is downloaded or unpickled. Called again after an
    interruption, it continues.

    sampling embed corpus.parquet --text text --model minilm/ --out rows.npy

    sampling embed photos/ --model dinov2/ --out photos.npy

    sampling dedup photos.npy --threshold 0.95 --beside photos.parquet --text path
    """
    with refusals(debug, context, num_threads="num_threads"):
        numbers = {"max_tokens": max_tokens, "num_threads": num_threads}
        given: dict[str, Any] = {
            name: None if each is None else parse(int, name, each) for name, each in numbers.items()
        }
        given["batch_size"] = parse(int, "batch_size", batch_size)
        given |= {"pooling": pooling, "dtype": dtype, "precision": precision, "on_bad": on_bad}
        from .. import embedding  # loads torch

        paths = [each if is_remote(each) else Path(each) for each in source]  # never texts
        with bars() as progress:
            embedding.embed(
                paths[0] if len(paths) == 1 else paths,
                model,
                out,
                text=text,
                image=image,
                prompt=prompt,
                normalise=normalise,
                device=device,
                progress=progress,
                **given,
            )
        facts = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
        if as_json:
            answer({**facts, "out": str(out)})
            return
        unit = ", of norm 1" if facts["normalise"] else ""
        print(f"{facts['rows']:,} rows of {facts['dimensions']:,} numbers, {facts['dtype']}{unit}, "
              f"on {facts['model']['device']}")  # fmt: skip
        if facts["source"]["kind"] == "text":
            print(f"pooling: {facts['model']['pooling']}; {facts['cut_texts']:,} texts cut at "
                  f"{facts['model']['max_tokens']:,} tokens")  # fmt: skip
        if facts["bad_rows"]["count"]:
            print(f"rows of NaN: {facts['bad_rows']['count']:,}, listed in the manifest")
        if facts["source"].get("ignored_files"):
            print(f"files that are no images: {facts['source']['ignored_files']:,}")
        print("written:", out)
