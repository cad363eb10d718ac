"""Documents → shards: scan, plan, write."""
