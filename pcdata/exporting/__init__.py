"""Raw documents out of a dataset again, for whatever reads files: a folder, JSONL or Parquet."""
