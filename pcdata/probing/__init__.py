"""What decides whether a compressor is a good proxy, measured before anything is trained with it."""
