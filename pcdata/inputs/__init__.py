"""Files -> documents. ``sources`` finds the files, ``records`` reads them; a file of records is read by its format's
module, which gives each record the place where it is found again."""
