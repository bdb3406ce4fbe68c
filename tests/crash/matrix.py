"""Every way in which a task can be killed, however often: each state that it can leave, and each point from there.

A task's new process knows only what is stored: the world, the time, what Airflow keeps, the decision record, and
whether it is the first try. So two ways that lead to the same stored state go on in the same way, and one of them is
enough. From each state the next process is killed once at each of its points. Every pair of points is thereby two steps
of which both were made, and so is every longer sequence.

A task that nobody has killed yet is really killed at each of its points, and what that leaves is compared with what is
stored while an undisturbed process waits there. So after the first kill, one run from a state is enough: what is stored
at each of its points is copied. In the long run (`N=10000 make crash`) each of these is a real kill too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from crash.bench import KILLED, Bench, Outcome, Step, follows
from crash.saved import Saved

MOST_STATES = 500
_ONLY_KILLS = bool(os.environ.get("N"))


@dataclass(frozen=True)
class _State:
    """What is stored between two processes of a task, and what it has changed so far."""

    part: str
    first_try: bool
    saved: Saved
    effects: tuple[str, ...] = ()


@dataclass
class Explored:
    """What was found.

    Attributes:
        outcomes: How the task ends, in each way in which it does, with the points of the kills that lead there.
        states: How many different states its processes found.
        points: How many points their processes passed, from each of which the task was ended.
        kills: At how many of them a process was killed.
        pairs: How many pairs of points these make.
    """

    outcomes: dict[Outcome, list[str]] = field(default_factory=dict)
    states: int = 0
    points: int = 0
    kills: int = 0
    pairs: int = 0


@dataclass
class _Visited:
    """A state that was explored: its points with the states that a kill there leaves, and what follows without one."""

    killed: list[_State] = field(default_factory=list)
    following: _State | None = None


def explore(bench: Bench, step: Step) -> Explored:
    """Kill a task in every way, and return all its endings."""
    begin = _State("execute", True, step.before)
    found, visited = Explored(), dict[_State, _Visited]()
    ahead: list[tuple[_State, list[str]]] = [(begin, [])]
    while ahead:
        state, way = ahead.pop(0)
        if state in visited:
            continue
        here = visited[state] = _Visited()
        assert len(visited) <= MOST_STATES, f"{step.name} has more than {MOST_STATES} states"
        said, following, copies = _run(bench, step, state)
        names = list(bench.lane.proxy.points)
        if following is None:
            outcome = Outcome.of(said, state.effects + bench.effects(), bench.save())
            found.outcomes.setdefault(outcome, way)
            if len(found.outcomes) > 1:
                return found  # the shortest way to another ending; there may be no end of such ways
        else:
            here.following = following
            ahead.append((following, way))
        for number, (name, copy) in enumerate(zip(names, copies, strict=True)):
            here.killed.append(copy)
            ahead.append((copy, [*way, name]))
            if not way or _ONLY_KILLS:
                found.kills += 1
                said, left, _ = _run(bench, step, state, number)
                assert said["end"] == KILLED, f"{step.name} was not killed at {name}: {said}"
                assert left == copy, f"{step.name}: a kill at {name} leaves something else than was stored there"
    step.before.world.check()
    found.states = len(visited)
    found.points = sum(len(here.killed) for here in visited.values())
    found.pairs = sum(len(list(_points(visited, left))) for left in _points(visited, begin))
    return found


def _run(
    bench: Bench, step: Step, state: _State, kill: int | None = None
) -> tuple[dict[str, Any], _State | None, list[_State]]:
    """Run the next process from a state; return what it said, the state that the one after it finds, and the copies.

    Those are the states that a kill leaves, one for each point that it passed.
    """
    copies: list[_State] = []
    dead = follows(state.part, {"end": KILLED})
    assert dead is not None

    def left_by(following: tuple[str, bool]) -> _State:
        part, _ = following
        return _State(part, state.first_try and part != "execute", bench.save(), state.effects + bench.effects())

    bench.load(state.saved)
    if kill is None:
        bench.lane.proxy.arm((), lambda: copies.append(left_by(dead)))
    else:
        bench.lane.proxy.arm({kill})
    said = bench.lane.run_part(step.order, state.part, 1 if state.first_try else 2)
    following = follows(state.part, said)
    if following is None:
        return said, None, copies
    if following[1]:
        bench.wait()
    return said, left_by(following), copies


def _points(visited: dict[_State, _Visited], state: _State | None) -> Iterator[_State]:
    """Yield what a kill leaves at each point from a state to the end."""
    while state is not None:
        yield from visited[state].killed
        state = visited[state].following
