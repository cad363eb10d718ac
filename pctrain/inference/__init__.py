"""Weights → numbers and text."""
