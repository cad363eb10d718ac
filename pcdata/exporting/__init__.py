"""Raw documents out of a dataset again, for whatever reads files: a folder, JSONL or Parquet.

``whole`` puts the parts of long documents back together, ``folder`` and ``records`` write them, ``export`` chooses
among these and lets the result appear when it is whole.
"""
