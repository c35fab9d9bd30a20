"""Images become rows: those of a folder sorted by name, or of a column; damaged ones are named."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sampling.embedding import embed

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for at, colour in enumerate(COLOURS):
        (folder / f"c{at % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), colour).save(folder / f"c{at % 2}" / f"{at}.png")
    (folder / "README.md").write_text("not an image")
    return folder


def alone(folder, path):
    """The oracle: one image, by transformers."""
    import transformers

    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=[Image.open(path)], return_tensors="pt")
    with torch.inference_mode():
        model = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False)
        return model(**pixels).last_hidden_state[0, 0].numpy()


def test_a_folder_has_a_row_for_each_image_and_a_list_of_them(photos, vit, tmp_path):
    found = embed(photos, vit, tmp_path / "p.npy", normalise=False, dtype="float32", batch_size=3)
    listed = pq.read_table(tmp_path / "p.parquet").to_pydict()
    assert listed == {"path": ["c0/0.png", "c0/2.png", "c1/1.png", "c1/3.png"],
                      "folder": ["c0", "c0", "c1", "c1"]}  # fmt: skip
    expected = [alone(vit, photos / each) for each in listed["path"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert json.loads((tmp_path / "p.json").read_text())["source"]["ignored_files"] == 1


def test_a_column_of_bytes_or_of_paths(photos, vit):
    files = ["c0/0.png", "c1/1.png"]
    columns = {"path": files, "data": [(photos / each).read_bytes() for each in files]}
    pq.write_table(pa.table(columns), photos / "t.parquet")
    by_path = embed(photos / "t.parquet", vit, image="path")
    assert np.array_equal(by_path, embed(photos / "t.parquet", vit, image="data"))
    assert by_path.shape == (2, 8)


def test_damaged_images_are_named_and_what_was_done_is_kept(photos, vit, tmp_path):
    out, bad = tmp_path / "p.npy", photos / "c1" / "3.png"
    bad.write_bytes(bad.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"damaged image.* in row 3 \(.*3.png\): .* is kept"):
        embed(photos, vit, out, batch_size=1)
    assert not out.exists()
    found = embed(photos, vit, out, batch_size=1, on_bad="nan")
    assert np.isnan(found).all(axis=1).tolist() == [False, False, False, True]
    bad.write_bytes(b"")
    with pytest.raises(ValueError, match="3.png must be an image, got an empty file, row 3"):
        embed(photos, vit, tmp_path / "q.npy")


def test_models_and_folders_of_another_kind_are_refused(photos, vit, bert, tmp_path):
    with pytest.raises(ValueError, match="model must hold its image processor"):
        embed(photos, bert)
    with pytest.raises(ValueError, match="model must hold its tokenizer"):
        embed(["a"], vit)
    with pytest.raises(ValueError, match="max_tokens must be omitted for images, got 3"):
        embed(photos, vit, max_tokens=3)
    with pytest.raises(ValueError, match="pooling must not be 'pooler', .* no weights of a pooler"):
        embed(photos, vit, pooling="pooler")
    with pytest.raises(ValueError, match="must hold images, got README.md: for the rows"):
        (tmp_path / "texts").mkdir()
        (tmp_path / "texts" / "README.md").write_text("")
        embed(tmp_path / "texts", vit)


def test_a_function_takes_images_in_rgb(photos):
    def mean(images):
        return np.stack([np.asarray(each, float).mean((0, 1)) for each in images])

    found = embed(photos, mean)
    assert found.round(1).tolist()[0] == [1, 0, 0]
