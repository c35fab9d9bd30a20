"""Commands that benchmark samplers, and that check the contracts of samplers."""

from pathlib import Path
from typing import Annotated

import typer

from .._interrupt import INTERRUPTED
from ._shared import FAILED, Debug, parse, refusals, refuse_all_but, refuse_given, share, words


def bench(  # noqa: PLR0913  # one parameter for each option
    context: typer.Context,
    dataset: Annotated[
        str, typer.Argument(help="Name of the dataset: digits or fashion-mnist.")
    ] = "digits",
    keep: Annotated[
        str | None,
        typer.Option(
            help="Fractions or percentages to keep, comma-separated; default 0.3,0.5,0.7."
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names of the methods, comma-separated; by default all that apply to the data."
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="INT", help="Number of seeds: runs of each method and fraction.")
    ] = "3",
    first_seed: Annotated[
        str,
        typer.Option(
            metavar="INT", help="First of the seeds, so that several processes can share one --out."
        ),
    ] = "0",
    margin: Annotated[
        str,
        typer.Option(
            metavar="FLOAT", help="Points of accuracy below full data that still count as equal."
        ),
    ] = "0.3",
    epochs: Annotated[
        str | None,
        typer.Option(
            metavar="INT",
            help="Number of epochs at full cost; default 20 for digits, 10 for fashion-mnist.",
        ),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar="INT",
            help="Number of samples per batch; default 64 for digits, 128 for fashion-mnist.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write the results to; default runs/<dataset>.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device to train on: auto, cpu, cuda, ....")] = "auto",
    imbalance: Annotated[
        str | None,
        typer.Option(
            metavar="FLOAT",
            help="Make the training set long-tailed, with this ratio of its largest class to "
            "its smallest.",
        ),
    ] = None,
    label_noise: Annotated[
        str | None, typer.Option(metavar="FLOAT", help="Fraction of training labels to corrupt.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder that holds the fashion-mnist files.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Describe the methods and exit without training.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Train models and report the accuracy of each sampler at a given training cost.

    A second call with the same --out resumes an interrupted one. Needs the extra bench.

    sampling bench digits --keep 0.5 --seeds 3
    """
    from rich.console import Console

    from .. import bench as benchmark

    with refusals(debug, context):
        if list_:
            refuse_all_but(context, ("list_", "debug"), "with --list, which trains nothing")
            Console(width=140).print(benchmark.method_table())
            return
        points = parse(float, "margin", margin)
        if not points > 0:
            raise ValueError(f"margin must be > 0, got {points}")
        ready = benchmark.prepare(
            benchmark.Settings(
                dataset,
                keep=None if keep is None else tuple(share("keep", word) for word in words(keep)),
                methods=None if methods is None else tuple(words(methods)),
                seeds=parse(int, "seeds", seeds),
                first_seed=parse(int, "first_seed", first_seed),
                epochs=None if epochs is None else parse(int, "epochs", epochs),
                batch_size=None if batch_size is None else parse(int, "batch_size", batch_size),
                out=out,
                device=device,
                imbalance=None if imbalance is None else parse(float, "imbalance", imbalance),
                label_noise=None if label_noise is None else share("label_noise", label_noise),
                data_dir=data_dir,
            )
        )
        if not ready.has_verdicts:
            refuse_given(context, ["margin"], "without a comparison with full data, which "
                         "needs the method full or uniform and three seeds")  # fmt: skip
        results = ready.run()
        files = benchmark.write_report(results, ready.folder)
        Console().print(benchmark.table(results, points))
        print("written:", ", ".join(map(str, [ready.folder / "results.json", *files])))
        if ready.interrupted:
            print(f"interrupted: {ready.pending} runs are left; run the same command to resume")
            raise typer.Exit(INTERRUPTED)


def contracts(
    context: typer.Context,
    samplers: Annotated[
        str | None,
        typer.Option(help="Names of the samplers, comma-separated; by default all of the package."),
    ] = None,
    loaders: Annotated[
        str | None,
        typer.Option(
            help="Names of the loaders, comma-separated: DataLoader, whole batches (of a "
            "DataLoader with batch_size=None), TensorLoader, StatefulDataLoader, torchdata.nodes, "
            "Lightning, accelerate, HF Trainer; by default all."
        ),
    ] = None,
    workers: Annotated[
        str, typer.Option(help="Numbers of workers of each loader, comma-separated.")
    ] = "0,2",
    ranks: Annotated[
        str, typer.Option(help="Numbers of ranks, comma-separated: 1, 2 or both.")
    ] = "1,2",
    out: Annotated[
        Path | None, typer.Option(help="Path of a JSON file to write the results to.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Interrupt and resume every sampler in every loader, and compare with uninterrupted runs.

    Needs the extras stateful, lightning and hf. The exit code is 1 if any combination fails.

    sampling contracts --samplers ShuffleSampler --loaders DataLoader
    """
    from tqdm import tqdm

    from .. import io, testing

    with refusals(debug, context):
        if out is not None:
            io.check_outputs(testing.matrix_outputs(out))
        cells = testing.cells(
            *(None if names is None else words(names) for names in (samplers, loaders)),
            workers=[parse(int, "workers", word) for word in words(workers)],
            ranks=[parse(int, "ranks", word) for word in words(ranks)],
        )
        with tqdm(total=len(cells), disable=None, unit=" runs") as bar:
            found = testing.run_cells(cells, bar.update)
        print(testing.matrix_table(found))
        if out is not None:
            testing.write_matrix(found, out)
        failed = {case: text for case, text in found.items() if text}
        for case, text in failed.items():
            print(f"{case}: {text}")
        if failed:
            raise typer.Exit(FAILED)
