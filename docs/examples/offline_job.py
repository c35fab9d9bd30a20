"""Select from a Parquet corpus: embed its texts, drop near copies, cover the range of a score.

    python offline_job.py --out job                           # on a corpus that it makes
    python offline_job.py --corpus corpus/ --model minilm/ --keep 0.2 --out job

A corpus has the columns `id`, `text`, `language`, `quality` (higher is better) and `loss` (of a
model; higher is harder). After an interruption the same command resumes; once complete, it returns
at once. It writes `rows.npy`, the embeddings; `work/selection.parquet`, the subset file;
`report.html`, for the reviewer; and `chosen/`, the selected rows.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer

from sampling.embedding import embed
from sampling.reports import write_plan_report
from sampling.selection import SelectionPlan, Stage

WORDS = {
    "en": "the a red old house tree runs sings quickly often garden river".split(),
    "de": "der ein rotes altes Haus Baum rennt singt schnell oft Garten Fluss".split(),
}


def make_corpus(path: Path, size: int) -> None:
    """Write made sentences of two languages, a tenth of which are copies with one word changed."""
    rng = np.random.default_rng(0)
    languages = rng.choice(["en", "de"], size, p=[0.8, 0.2])
    texts: list[str] = []
    for at, language in enumerate(languages):
        words = rng.choice(WORDS[language], 12).tolist() + [f"{at}"]
        if at % 10 == 9:
            words = [*texts[at - 1].split()[:-1], f"{at}"]
            languages[at] = languages[at - 1]
        texts.append(" ".join(words))
    columns = {
        "id": [f"doc-{at:06d}" for at in range(size)],
        "text": texts,
        "language": languages,
        "quality": rng.random(size),
        "loss": rng.gamma(4.0, 0.5, size),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def counts_of_characters(texts: list[str]) -> NDArray[np.float32]:
    """Embed texts by their character 3-grams; `--model` names a folder of a real model."""
    hashed = HashingVectorizer(n_features=256, analyzer="char_wb", ngram_range=(3, 3))
    return np.asarray(hashed.transform(texts).toarray(), np.float32)


def main() -> None:
    """Run the job, or resume it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=Path, help="A Parquet file, or a folder of them.")
    parser.add_argument("--rows", type=int, default=5000, help="Rows of a made corpus.")
    parser.add_argument("--model", type=Path, help="A folder that `save_pretrained` wrote.")
    parser.add_argument("--threshold", type=float, default=0.9, help="Cosine of near copies.")
    parser.add_argument("--keep", type=float, default=0.3, help="Fraction of the unique rows.")
    parser.add_argument("--out", type=Path, default=Path("job"))
    args = parser.parse_args()

    corpus = args.corpus or args.out / "corpus.parquet"
    if args.corpus is None and not corpus.exists():
        make_corpus(corpus, args.rows)
    args.out.mkdir(parents=True, exist_ok=True)
    embed(corpus, args.model or counts_of_characters, args.out / "rows.npy", text="text")

    plan = SelectionPlan(
        args.out / "rows.npy",
        [
            Stage(
                "semdedup",
                columns={"quality": "quality:keep"},  # of copies, keep the best
                settings={"threshold": args.threshold},
            ),
            Stage("ccs", args.keep, columns={"scores": "loss:harder", "groups": "language"}),
        ],
        beside=[corpus],
        ids="id",
        export={"folder": args.out / "chosen", "columns": ["id", "text"]},
        report={"path": args.out / "report.html", "by": ["language"], "text": "text"},
    )
    picked = plan.run(args.out / "work", progress=print)
    write_plan_report(plan, args.out / "work")
    print(f"{len(picked)} of {picked.size} rows are selected, see {args.out / 'report.html'}")


if __name__ == "__main__":
    main()
