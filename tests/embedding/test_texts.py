"""Texts become rows: those that transformers gives for each text alone, in order."""

import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sampling.embedding import embed

TEXTS = ["a b c", "long word a b c d", "a", "", "d c b a", "c c", "long long long"]


def alone(folder, text, pooling, max_tokens=16):
    """The oracle: one text, without padding, by transformers."""
    import transformers

    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        text, truncation=True, max_length=max_tokens, return_tensors="pt"
    )
    with torch.inference_mode():
        hidden = transformers.AutoModel.from_pretrained(folder)(**tokens).last_hidden_state[0]
    picked = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.amax(0), "last": hidden[-1]}
    return picked[pooling].numpy()


@pytest.fixture
def table(tmp_path):
    pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_a_table_is_named_as_elsewhere(bert, tmp_path):
    for at, part in (("a", TEXTS[:3]), ("b", TEXTS[3:])):
        folder = tmp_path / "corpus" / f"part={at}"
        folder.mkdir(parents=True)
        (folder / "t.jsonl").write_text("".join(json.dumps({"text": each}) + "\n" for each in part))
    wanted = embed(TEXTS, bert)
    for source in (
        f"{tmp_path}/corpus/*/t.jsonl",
        (tmp_path / "corpus").as_uri(),
        [tmp_path / "corpus" / "part=a", tmp_path / "corpus" / "part=b"],
    ):
        assert np.array_equal(embed(source, bert, text="text"), wanted)
    with pytest.raises(ValueError, match="text must be the column of .*jsonl to embed"):
        embed(f"{tmp_path}/corpus/*/t.jsonl", bert)
    with pytest.raises(FileNotFoundError, match="must match a file"):
        embed(f"{tmp_path}/corpus/*/u.jsonl", bert)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
def test_rows_are_those_of_each_text_alone(bert, pooling):
    found = embed(TEXTS, bert, pooling=pooling, normalise=False, dtype="float32", batch_size=3)
    expected = [alone(bert, text, pooling) for text in TEXTS]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_file_with_its_manifest(bert, table, tmp_path):
    out = tmp_path / "rows.npy"
    found = embed(table, bert, out, text="text", max_tokens=4, batch_size=2)
    assert found.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(found.astype(float), axis=1), 1, atol=1e-3)
    facts = json.loads((tmp_path / "rows.json").read_text())
    assert (facts["rows"], facts["dimensions"], facts["cut_texts"]) == (7, 8, 4)
    assert facts["model"]["max_tokens"] == 4
    assert facts["source"]["table"][0]["name"] == "t.parquet"
    assert {path.name for path in tmp_path.iterdir()} == {"rows.json", "rows.npy", "t.parquet"}
    before = out.stat().st_mtime_ns
    embed(table, bert, out, text="text", max_tokens=4, batch_size=2)
    assert out.stat().st_mtime_ns == before  # complete: nothing is done
    embed(table, bert, out, text="text", max_tokens=5, batch_size=2)
    assert json.loads((tmp_path / "rows.json").read_text())["model"]["max_tokens"] == 5


def test_the_modules_of_sentence_transformers_are_read(bert, tmp_path):
    from safetensors.torch import save_file

    folder = tmp_path / "st"
    shutil.copytree(bert, folder)
    types = {"0": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense"}
    held = [{"path": "" if path == "0" else path, "type": f"sentence_transformers.models.{kind}"}
            for path, kind in types.items()]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(held))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (folder / "2_Dense").mkdir()
    facts = {"in_features": 8, "out_features": 3, "bias": False,
             "activation_function": "torch.nn.modules.activation.Tanh"}  # fmt: skip
    (folder / "2_Dense" / "config.json").write_text(json.dumps(facts))
    weight = torch.arange(24.0).reshape(3, 8) / 24
    save_file({"linear.weight": weight}, folder / "2_Dense" / "model.safetensors")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    prompts = {"prompts": {"p": "d d "}, "default_prompt_name": "p"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    found = embed(["a b c"], folder, normalise=False, dtype="float32")
    expected = np.tanh(weight.numpy() @ alone(bert, "d d a b c", "cls", 5))
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


KILLED = """
import sys
from sampling.embedding import embed
import sampling._files._kept as kept
kept._EVERY = 0.0
def slow(texts):
    print(len(texts), flush=True)
    import time
    time.sleep(0.05)
    return [[len(each), each.count("a"), 1.0] for each in texts]
embed(sys.argv[1], slow, sys.argv[2], text="text", batch_size=10)
"""


def test_a_kill_leaves_the_old_file_and_the_rest_is_resumed(tmp_path):
    texts = ["a" * (row % 37) for row in range(2000)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet")
    out = tmp_path / "rows.npy"
    command = [sys.executable, "-c", KILLED, str(tmp_path / "t.parquet"), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    before = 20 + len(process.communicate()[0].splitlines())
    assert not out.exists()
    done = subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
    assert before < len(done) + before <= 203 + 3  # 200 batches, and the probe of each call
    rows = np.load(out)
    lengths = np.array([len(each) for each in texts])
    np.testing.assert_allclose(rows[:, 0] / rows[:, 2], lengths, rtol=0.01)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_missing_texts(bert, tmp_path):
    texts = ["a", None, "b"]
    with pytest.raises(ValueError, match="text in each row, got a missing one in row 1: fill it"):
        embed(texts, bert)
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="text column 'text' must have .* in row 1: fill it, or"):
        embed(tmp_path / "t.parquet", bert, text="text")
    found = embed(tmp_path / "t.parquet", bert, tmp_path / "x.npy", text="text", on_bad="nan")
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]
    bad = json.loads((tmp_path / "x.json").read_text())["bad_rows"]
    assert bad == {"count": 1, "first": {"1": "a missing text"}}


def broken(bert, tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(bert, folder)
    if name == "pickled":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif name == "no tokenizer":
        for each in ("tokenizer.json", "vocab.txt"):
            (folder / each).unlink(missing_ok=True)
    elif name == "no config":
        (folder / "config.json").unlink()
    elif name == "weights missing":
        from safetensors.torch import load_file, save_file

        held = load_file(folder / "model.safetensors")
        some = {key: each for key, each in held.items() if "output" not in key}
        save_file(some, folder / "model.safetensors", metadata={"format": "pt"})
    elif name == "damaged":
        (folder / "model.safetensors").write_bytes(b"\x10")
    elif name == "module":
        (folder / "modules.json").write_text('[{"path": "", "type": "x.CLIPModel"}]')
    return folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pickled", r"in \*.safetensors, got .*pytorch_model.bin, which is pickled: .* save_pretr"),
        ("no tokenizer", "model must hold its tokenizer, got none of tokenizer.json"),
        ("no config", "model must be the folder of a model, got no config.json"),
        ("weights missing", "model must hold all weights, got none for .*output.* and . more"),
        ("damaged", "model must hold whole files that AutoModel of transformers can read, got"),
        ("module", "got another module, CLIPModel"),
    ],
)
def test_folders_that_would_give_wrong_rows_are_refused(bert, tmp_path, name, words):
    with pytest.raises(ValueError, match=words):
        embed(["a"], broken(bert, tmp_path, name))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_tokens": 17}, r"max_tokens must be in \[3, 17\), got 17"),
        ({"pooling": "median"}, "pooling must be one of 'mean', 'cls'"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"device": "gpu"}, "device must be one that torch can use here, got 'gpu'"),
        ({"text": "x"}, "text must be omitted for texts in memory, got 'x'"),
    ],
)
def test_arguments_are_checked(bert, given, words):
    with pytest.raises(ValueError, match=words):
        embed(["a"], bert, **given)


def test_what_is_no_source_or_model(bert, table, tmp_path):
    with pytest.raises(ValueError, match="text must be the column of .*t.parquet to embed"):
        embed(table, bert)
    with pytest.raises(ValueError, match="column must be one of .*'txt'.*did you mean 'text'"):
        embed(table, bert, text="txt")
    with pytest.raises(TypeError, match="text must be a column of strings, got 'id', of int64"):
        embed(table, bert, text="id")
    with pytest.raises(TypeError, match="source must hold strings, got 3 in row 1"):
        embed(["a", 3], bert)
    with pytest.raises(FileNotFoundError, match="got no such: .*none"):
        embed(["a"], tmp_path / "none")
    with pytest.raises(ValueError, match="got a file: .*t.parquet; for other models, pass a func"):
        embed(["a"], table)
    with pytest.raises(ValueError, match="must be free or hold embeddings of `sampling`"):
        np.save(tmp_path / "own.npy", np.ones(3))
        embed(["a"], bert, tmp_path / "own.npy")


def test_rows_that_are_not_finite_name_their_text():
    def huge(texts):
        return torch.tensor([[1e6 if each == "b" else 1.0] for each in texts], requires_grad=True)

    with pytest.raises(ValueError, match="finite as float16, got another for row 1: use dtype='fl"):
        embed(["a", "b"], huge, normalise=False)
    with pytest.raises(ValueError, match="and not 0, got another for row 0: use another model"):
        embed(["a"], lambda texts: np.zeros((1, 2)))
    with pytest.raises(ValueError, match="model must return a row for each of 1, got 2"):
        embed(["a"], lambda texts: np.ones((2, 2)))


def test_the_global_generator_is_not_used(bert):
    before = torch.get_rng_state()
    embed(["a"], bert)
    assert torch.equal(before, torch.get_rng_state())
