"""Files -> documents. ``sources`` finds the files, ``records`` reads them. Each format of record files has a module,
which gives every record an offset by which it can be read again."""
