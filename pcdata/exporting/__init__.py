"""Export of raw documents: a folder of files, JSONL or Parquet."""
