"""Ids → logits → loss."""
