"""Tables on an S3 server on this machine."""

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from sampling.io import open_table, read_rows, unchanged
from sampling.selection import SelectionPlan, Stage

N = 40


@pytest.fixture
def bucket():
    server = pytest.importorskip("moto.server", reason="needs moto[server]").ThreadedMotoServer(
        port=0
    )
    server.start()
    host, port = server.get_host_and_port()
    options = f"endpoint_override={host}:{port}&scheme=http&allow_bucket_creation=true"
    system, _ = pyarrow.fs.FileSystem.from_uri(f"s3://key:secret@corpus?{options}")
    system.create_dir("corpus")
    for lang, rows in (("de", range(10)), ("en", range(10, N))):
        part = pa.table({"score": [float(i) for i in rows], "text": [f"text {i}" for i in rows]})
        pq.write_table(part, f"corpus/texts/lang={lang}/p.parquet", filesystem=system)
    with system.open_output_stream("corpus/rows.npy") as file:
        np.save(file, np.eye(N, 3, dtype=np.float32))
    yield system, lambda path: f"s3://key:secret@corpus/{path}?{options}"
    server.stop()


@pytest.mark.full
def test_a_whole_plan_from_object_storage(bucket, tmp_path):
    system, at = bucket
    for given in (at("texts"), at("texts/lang=*/*.parquet")):
        found = open_table(given)
        assert found.column("lang").tolist() == ["de"] * 10 + ["en"] * 30
        assert read_rows(given, np.array([11]))["text"].to_pylist() == ["text 11"]
    assert open_table(at("rows.npy"), scratch=tmp_path / "scratch").embeddings.shape == (N, 3)
    stages = [Stage("filter", where=[["lang", "==", "en"]]),
              Stage("top", 3, columns={"scores": "score"})]  # fmt: skip
    plan = SelectionPlan(at("rows.npy"), stages, beside=[at("texts")],
                         export={"folder": tmp_path / "out", "columns": ["text"]})  # fmt: skip
    assert plan.run(tmp_path / "work").indices.tolist() == [39, 38, 37]
    assert "secret" not in (tmp_path / "work" / "manifest.json").read_text()
    with pytest.raises(ValueError, match=r"s3://corpus/rows\.npy must not change"):
        with unchanged(at("rows.npy")), system.open_output_stream("corpus/rows.npy") as file:
            np.save(file, np.eye(N + 1))
    with pytest.raises(FileNotFoundError, match=r"s3://corpus/absent\.parquet must exist"):
        open_table(at("absent.parquet"))
    with pytest.raises(OSError, match=r"s3://elsewhere/a\.parquet must"):
        open_table(at("a.parquet").replace("corpus/", "elsewhere/"))
