"""Strongly connected components, those first that others depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def components(parents: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Points that lead to one another, together; each component after all that lead to it.

    Tarjan's algorithm (SIAM J. Comput. 1(2), 1972) without recursion, as a chain of a
    hundred thousand steps is nothing unusual. Linear in points and edges.

    Parameters
    ----------
    parents : sequence of sequences of int
        For each point those that lead to it.

    >>> [sorted(c) for c in components([[1], [2, 0], [], [1]])]
    [[2], [0, 1], [3]]
    """
    found_at = [0] * len(parents)  # 0: not found yet
    lowest = [0] * len(parents)
    open_: list[int] = []
    is_open = bytearray(len(parents))
    clock = 0
    for start in range(len(parents)):
        if found_at[start]:
            continue
        way = [(start, iter(parents[start]))]
        clock += 1
        found_at[start] = lowest[start] = clock
        open_.append(start)
        is_open[start] = 1
        while way:
            point, rest = way[-1]
            for parent in rest:
                if not found_at[parent]:
                    clock += 1
                    found_at[parent] = lowest[parent] = clock
                    open_.append(parent)
                    is_open[parent] = 1
                    way.append((parent, iter(parents[parent])))
                    break
                if is_open[parent]:
                    lowest[point] = min(lowest[point], found_at[parent])
            else:
                way.pop()
                if way:
                    lowest[way[-1][0]] = min(lowest[way[-1][0]], lowest[point])
                if lowest[point] == found_at[point]:
                    together: list[int] = []
                    while not together or together[-1] != point:
                        together.append(open_.pop())
                        is_open[together[-1]] = 0
                    yield together
