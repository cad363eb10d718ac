"""Levenshtein's distance from its definition, to compare with."""

from __future__ import annotations


def slow_distance(left: list[int], right: list[int]) -> int:
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(right) + 1))
    for number, one in enumerate(left, start=1):
        last, row = row, [number]
        for column, other in enumerate(right, start=1):
            row.append(min(last[column] + 1, row[-1] + 1, last[column - 1] + (one != other)))
    return row[-1]
