"""A small explicit-state model checker: every interleaving of a few processes, with kills anywhere.

A process is a table {label: step}. A step is a function (shared, own, me) that changes the two dictionaries and
returns the next label; None means that it cannot go on yet. Each step is one store or one system call, the unit in
which a kill can come. A killed process releases its locks as the kernel does, newest first, one step each, leaving
them marked as its owner's death: shared[lock] is 0 (free), a process's number + 1, or DIED.
"""
from collections import deque

DIED = -1
END = "end"


class Broken(Exception):
    """Raised by a step that meets what must never be."""


def acquire(shared, own, me, lock, clean, after_death):
    if shared[lock] not in (0, DIED):
        return None
    died = shared[lock] == DIED
    shared[lock] = me + 1
    own["locks"] += (lock,)
    return after_death if died else clean


def release(shared, own, me, lock):
    assert shared[lock] == me + 1
    shared[lock] = 0
    own["locks"] = tuple(held for held in own["locks"] if held != lock)


def _freeze(shared, owns, kills):
    return (kills, tuple(shared.items()), tuple(tuple(own.items()) for own in owns))


def _thaw(state):
    return dict(state[1]), [dict(own) for own in state[2]], state[0]


def explore(shared, processes, kills, invariant=None, final=None, limit=2_000_000):
    """All states reachable by `processes` [(program, own variables)], with up to `kills` kills.

    Returns (number of states, {what is wrong: steps that lead there, the shortest first found}).
    `invariant(shared, owns)` is asked in every state, `final(shared, owns)` where nobody can step; each says what is
    wrong, or None.
    """
    owns = [{"at": "start", "locks": (), **own} for _, own in processes]
    first = _freeze(shared, owns, 0)
    reached_by = {first: None}
    queue = deque([first])
    wrong = {}

    def path(state):
        steps = []
        while reached_by[state] is not None:
            state, text = reached_by[state]
            steps.append(text)
        return steps[::-1]

    def visit(state, before, text):
        if state in reached_by:
            return
        reached_by[state] = (before, text)
        queue.append(state)
        if invariant is not None:
            problem = invariant(*_thaw(state)[:2])
            if problem:
                wrong.setdefault(problem, path(state))

    while queue:
        state = queue.popleft()
        if len(reached_by) > limit:
            wrong.setdefault("too many states", [])
            break
        stepped = False
        for me, (program, _) in enumerate(processes):
            shared, owns, killed = _thaw(state)
            own = owns[me]
            at = own["at"]
            if at in (END, "dead"):
                continue
            if at == "dying":
                stepped = True
                if own["locks"]:
                    lock = own["locks"][-1]
                    own["locks"] = own["locks"][:-1]
                    shared[lock] = DIED
                    visit(_freeze(shared, owns, killed), state, f"{me}: the kernel marks {lock}")
                else:
                    own["at"] = "dead"
                    visit(_freeze(shared, owns, killed), state, f"{me}: gone")
                continue
            if killed < kills:
                doomed, doomed_owns, _ = _thaw(state)
                doomed_owns[me]["at"] = "dying"
                visit(_freeze(doomed, doomed_owns, killed + 1), state, f"{me}: KILLED at {at}")
            try:
                after = program[at](shared, own, me)
            except Broken as problem:
                wrong.setdefault(str(problem), path(state) + [f"{me}: {at}"])
                stepped = True
                continue
            if after is None:
                continue
            stepped = True
            own["at"] = after
            visit(_freeze(shared, owns, killed), state, f"{me}: {at}")
        if not stepped and final is not None:
            problem = final(*_thaw(state)[:2])
            if problem:
                wrong.setdefault(problem, path(state))
    return len(reached_by), wrong


class Suite:
    """Collects models with what each must find: nothing, or one named flaw when a rule is left out."""

    def __init__(self):
        self.failed = 0
        self.count = 0

    def expect(self, name, result, flaw=None):
        states, wrong = result
        self.count += 1
        good = not wrong if flaw is None else any(flaw in problem for problem in wrong)
        said = "; ".join(wrong) or "clean"
        print(f"{'ok  ' if good else 'FAIL'} {name}: {states} states, {said}")
        if not good:
            self.failed += 1
            for problem, steps in wrong.items():
                print(f"     {problem}:\n       " + "\n       ".join(steps))

    def finish(self):
        print(f"{self.count - self.failed} passed, {self.failed} failed")
        return 1 if self.failed else 0
