"""Training methods: what each adds to the model and its loss, one file per method."""
