"""Files of every kind: checks of paths, atomic writes, Parquet with checksums, JSON."""
