"""Folders of images, made in each test."""

import json
import os
import threading
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from sampling import bench
from sampling.bench._work import prepared
from sampling.bench.tasks import _decode
from sampling.bench.tasks._decode import _pixels
from sampling.bench.tasks._listing import list_images
from sampling.bench.tasks._sources import source_of

ONE = {"methods": ("full",), "without": ("full-fewer", "random", "dynamic-random", "rs2"),
       "seeds": 1, "epochs": 1, "jobs": 1}  # fmt: skip


def save(path, grey=128, size=(6, 5), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, grey).save(path)
    return path


def photos(root, classes=("cat", "dog"), each=10, **given):
    for c, name in enumerate(classes):
        for i in range(each):
            save(root / name / f"{i}.png", 100 * c + i, **given)
    return root


def load(root, out, **given):
    settings = bench.Settings(root, image_size=4, **given)
    return prepared(settings, out)


def test_a_folder_is_run(tmp_path):
    folder = photos(tmp_path / "photos", each=30)
    benchmark = bench.prepare(bench.Settings(str(folder), out=tmp_path / "out", **ONE))
    results = benchmark.run(progress=False)
    assert results.runs[0].done
    assert benchmark.source.name == results.identity["dataset"] == "photos"
    assert benchmark.data.task.class_names == ("cat", "dog")
    assert [len(part) for part in (benchmark.data.train, benchmark.data.val)] == [42, 6]
    assert torch.bincount(benchmark.data.test.y).tolist() == [6, 6]
    assert benchmark.data.train.x.dtype == torch.uint8
    assert benchmark.data.train.x.shape == (42, 32, 32, 1)
    shown = benchmark.data.task.examples(np.array([0, 47]))
    assert [image.shape for image in shown] == [(32, 32)] * 2
    assert shown[0].dtype == np.uint8


def test_images_are_decoded_once_and_again_after_a_change(tmp_path, monkeypatch):
    folder, out = photos(tmp_path / "photos"), tmp_path / "out"
    first = load(folder, out)
    files = sorted(path.name for path in (out / "data").iterdir())
    assert [name.rpartition(".")[2] for name in files] == ["json", "npy"]
    with monkeypatch.context() as patch:
        patch.setattr(_decode, "_pixels", None)  # would fail
        again = load(folder, out)
    assert again.digest == first.digest
    assert again.train.x.equal(first.train.x)
    changed = save(folder / "cat" / "0.png", 255)
    os.utime(changed, ns=(1, 1))
    assert load(folder, out).digest != first.digest
    assert bench.Settings(folder, image_size=5) and len(list((out / "data").iterdir())) == 4


def test_foreign_files_in_the_cache_are_kept(tmp_path):
    folder, out = photos(tmp_path / "photos"), tmp_path / "out"
    load(folder, out)
    (pixels,) = (out / "data").glob("*.npy")
    np.save(pixels, np.arange(3.0))
    next((out / "data").glob("*.json")).unlink()
    with pytest.raises(ValueError, match="must be free or hold decoded images"):
        load(folder, out)
    assert np.load(pixels).shape == (3,)


def test_results_are_not_written_among_the_images(tmp_path):
    folder = photos(tmp_path / "photos")
    with pytest.raises(ValueError, match="must not be in a folder that is read"):
        bench.prepare(bench.Settings(folder, out=folder / "runs"))
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("names", "sizes"),
    [(("train", "val", "test"), (10, 6, 4)), (("train", "valid"), (8, 6, 2)),
     (("train", "test"), (9, 1, 4)), (("Train", "VAL", "Test"), (10, 6, 4))],
)  # fmt: skip
def test_splits(tmp_path, names, sizes):
    counts = {"train": 5, "val": 3, "valid": 3, "test": 2}
    for name in names:
        photos(tmp_path / "photos" / name, each=counts[name.lower()])
    data = load(tmp_path / "photos", tmp_path / "out")
    found = tuple(map(len, (data.train, data.val, data.test)))
    assert found == (8, 2, 4) if names == ("train", "test") else found == sizes


def test_what_is_ignored_and_nested_and_linked(tmp_path):
    folder = photos(tmp_path / "photos", each=2)
    for name in (".DS_Store", "cat/.hidden.png", "cat/_x.png", "_more/x.png", ".git/a.png"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no image")
    save(folder / "cat" / "2020" / "may" / "deep.png")
    photos(tmp_path / "elsewhere", classes=("far",), each=2)
    (folder / "bird").symlink_to(tmp_path / "elsewhere" / "far")
    (folder / "dog" / "circle").symlink_to(folder / "dog")
    found = list_images(folder)
    shown = [(each.label, each.path.name) for each in found.files]
    assert shown == [("bird", "0.png"), ("bird", "1.png"), ("cat", "0.png"), ("cat", "1.png"),
                     ("cat", "deep.png"), ("dog", "0.png"), ("dog", "1.png")]  # fmt: skip
    assert not found.stray
    assert not found.empty


def test_a_class_named_train(tmp_path):
    folder = photos(tmp_path / "vehicles", classes=("bus", "train", "car"))
    assert load(folder, tmp_path / "out").task.class_names == ("bus", "car", "train")


BAD = {
    "text": ("cat/note.txt", b"words", r"cat/note.txt must be an image, got a file that is no"),
    "empty": ("dog/z.png", b"", r"dog/z.png must be an image, got an empty file"),
    "stray": ("README.md", b"hello", r"README.md must be in the folder of a class"),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD.values(), ids=BAD)
def test_bad_files_are_named_or_dropped(tmp_path, name, content, message):
    folder = photos(tmp_path / "photos")
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(folder, tmp_path / "out")
    data = load(folder, tmp_path / "out", on_bad="drop")
    assert data.notes[0].startswith("Dropped: 1 file")
    assert data.notes[0].endswith(f"({name}).")
    assert sum(map(len, (data.train, data.val, data.test))) == 20
    with pytest.raises(ValueError, match=message):  # from the cache, too
        load(folder, tmp_path / "out")


def test_truncated_images_of_all_formats(tmp_path):
    folder = photos(tmp_path / "photos")
    pixels = np.random.RandomState(0).randint(0, 256, (40, 40, 3), dtype=np.uint8)
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        (folder / "cat" / f"cut.{kind}").write_bytes(buffer.getvalue()[: buffer.tell() // 2])
    (folder / "dog" / "gone.png").symlink_to(tmp_path / "none")
    with pytest.raises(ValueError, match=r"cat/cut.bmp must be an image, got .*7 such files"):
        load(folder, tmp_path / "out")
    data = load(folder, tmp_path / "out", on_bad="drop")
    assert data.notes == (
        "Dropped: 7 files that are no readable images (cat/cut.bmp, cat/cut.gif, cat/cut.jpeg, "
        "...).",
    )


def test_empty_and_single_classes(tmp_path):
    folder = photos(tmp_path / "photos")
    (folder / "owl").mkdir()
    with pytest.raises(ValueError, match="owl must hold images, got none"):
        load(folder, tmp_path / "out")
    save(folder / "owl" / "only.png")
    data = load(folder, tmp_path / "out")
    assert data.notes == ("Classes with one training sample: 1 (owl).",)
    assert torch.bincount(data.train.y, minlength=3).tolist()[2] == 1
    assert 2 not in data.test.y
    assert 2 not in data.val.y


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root.mkdir(), "must hold a folder of images for each class.*got none"),
        (lambda root: photos(root, classes=("cat",)), "got only 'cat'"),
        (lambda root: [photos(root / n) for n in ("train", "test", "more")], "got 'more' next to"),
        (lambda root: [photos(root / n) for n in ("train", "vall")], "'train': did .*'val'"),
        (lambda root: [photos(root / n) for n in ("trian", "test")], "'test': did .*'train'"),
        (lambda root: [photos(root / "train"), photos(root / "test", classes=("cat", "owl"))],
         "training images of each class, got none of 'owl'"),
        (lambda root: photos(root, each=1), "must hold images for test, got none"),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_used(tmp_path, make, message):
    make(tmp_path / "photos")
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "photos", tmp_path / "out")


def test_kinds_of_images(tmp_path):
    """Each kind becomes the pixels that a viewer would show."""

    def read(image, name, **options):
        image.save(tmp_path / name, **options)
        found = _pixels(tmp_path / name, 4)
        assert isinstance(found, np.ndarray), found
        return found.shape[2], found[0, 0].tolist(), found[-1, -1].tolist()

    red_left = np.zeros((8, 8, 3), np.uint8)
    red_left[:, :4, 0] = 255
    assert read(Image.fromarray(red_left), "rgb.png") == (3, [255, 0, 0], [0, 0, 0])
    clear = np.dstack([red_left, np.full((8, 8), 255, np.uint8)])
    clear[4:, :, 3] = 0
    assert read(Image.fromarray(clear), "rgba.png") == (3, [255, 0, 0], [255, 255, 255])
    assert read(Image.new("L", (8, 8), 9), "grey.png") == (1, [9], [9])
    assert read(Image.new("1", (8, 8), 1), "bits.png") == (1, [255], [255])
    assert read(Image.new("LA", (8, 8), (7, 0)), "la.png") == (1, [255], [255])
    assert read(Image.fromarray(red_left).quantize(), "palette.png")[:2] == (3, [255, 0, 0])
    assert read(Image.new("L", (8, 8), 50).convert("P"), "greys.png") == (1, [50], [50])
    wide = Image.fromarray(np.full((8, 8), 257 * 200, np.uint16))
    assert read(wide, "16.png") == (1, [200], [200])
    assert read(wide, "16.tiff") == (1, [200], [200])
    assert read(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "c.jpg", quality=100)[0] == 3
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    assert read(Image.fromarray(red_left), "t.png", exif=turned)[1:] == ([0, 0, 0], [255, 0, 0])
    frames = [Image.new("L", (8, 8), grey) for grey in (10, 250)]
    assert read(frames[0], "a.gif", save_all=True, append_images=frames[1:])[1][0] == 10
    assert "8 or 16 bits" in _pixels(_saved(Image.new("F", (8, 8), 0.5), tmp_path / "f.tiff"), 4)


def _saved(image, path):
    image.save(path)
    return path


def test_colour_if_one_image_has_it(tmp_path):
    folder = photos(tmp_path / "photos")
    save(folder / "cat" / "0.png", (255, 0, 0), mode="RGB")
    assert load(folder, tmp_path / "out").train.x.shape[1:] == (4, 4, 3)


def test_two_processes_may_decode_at_once(tmp_path):
    folder, found = photos(tmp_path / "photos"), []
    settings = bench.Settings(folder, image_size=4)
    source = source_of(settings)
    threads = [threading.Thread(target=lambda: found.append(source.load(tmp_path / "out").digest))
               for _ in range(3)]  # fmt: skip
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    (facts,) = (tmp_path / "out" / "data").glob("*.json")
    assert json.loads(facts.read_text())["images"] == 20


def test_image_size_has_bounds(tmp_path):
    with pytest.raises(ValueError, match=r"image_size must be >= 4, got 3"):
        bench.Settings(tmp_path, image_size=3)
    with pytest.raises(ValueError, match=r"image_size must be in \[4, 1025\), got 5000"):
        prepared(bench.Settings(photos(tmp_path / "p"), image_size=5000), tmp_path / "out")


@pytest.mark.parametrize("size", [4, 9, 33])
def test_the_network_suits_every_size(tmp_path, size):
    data = prepared(bench.Settings(photos(tmp_path / "p"), image_size=size), tmp_path / "out")
    model = data.task.built_model(0).train()
    assert model(data.train.x[:1]).shape == (1, 2)  # a last batch of one
    assert model(data.train.x[:3]).isfinite().all()
