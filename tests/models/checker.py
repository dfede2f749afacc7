# SPDX-License-Identifier: BSL-1.0
"""A small explicit-state model checker: every interleaving of a few processes, with kills anywhere.

A process is a table {label: step}. A step is a function (shared, own, me) that changes the two dictionaries and
returns the next label; None means that it cannot go on yet. Each step is one store or one system call, the unit in
which a kill can come. A killed process releases its locks as the kernel does, newest first, one step each, leaving
them marked as its owner's death: shared[lock] is 0 (free), a process's number + 1, or DIED. If there is shared["gone"],
the number of a process that has ended or was killed is added to it, after its locks are marked: so others can ask.
"""
import json
import os
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


def leave(shared, me):
    if "gone" in shared:
        shared["gone"] = tuple(sorted(shared["gone"] + (me,)))


def explore(shared, processes, kills, invariant=None, final=None, limit=2_000_000):
    """All states reachable by `processes` [(program, own variables)], with up to `kills` kills.

    Returns (number of states, {what is wrong: steps that lead there, the shortest first found}).
    `invariant(shared, owns)` is asked in every state, `final(shared, owns)` where nobody can step; each says what is
    wrong, or None. Every variable has to be there from the start.
    """
    programs = [program for program, _ in processes]
    owns = [{"at": "start", "locks": (), **own} for _, own in processes]
    shared_keys, own_keys = tuple(shared), [tuple(own) for own in owns]

    # A state is (kills so far, values of shared variables, values of each process).
    def freeze_own(own, keys):
        assert len(own) == len(keys), f"new variables: {set(own) - set(keys)}"
        return tuple(own[key] for key in keys)

    def thaw(state):
        return dict(zip(shared_keys, state[1])), [dict(zip(keys, own)) for keys, own in zip(own_keys, state[2])]

    first = (0, tuple(shared.values()), tuple(freeze_own(own, keys) for own, keys in zip(owns, own_keys)))
    reached_by = {first: None}
    queue = deque([first])
    wrong = {}

    def path(state):
        steps = []
        while reached_by[state] is not None:
            state, text = reached_by[state]
            steps.append(text)
        return steps[::-1]

    def visit(before, text, killed, values, me, own):
        """What `me` has changed: its own variables, and the shared ones if `values` are new."""
        all_own = before[2]
        state = (killed, values, all_own[:me] + (freeze_own(own, own_keys[me]),) + all_own[me + 1:])
        if state in reached_by:
            return
        reached_by[state] = (before, text)
        queue.append(state)
        if invariant is not None:
            problem = invariant(*thaw(state))
            if problem:
                wrong.setdefault(problem, path(state))

    def values_of(now):
        assert len(now) == len(shared_keys), f"new variables: {set(now) - set(shared_keys)}"
        return tuple(now[key] for key in shared_keys)

    while queue:
        state = queue.popleft()
        killed, values, all_own = state
        if len(reached_by) > limit:
            wrong.setdefault("too many states", [])
            break
        stepped = False
        for me, program in enumerate(programs):
            own = dict(zip(own_keys[me], all_own[me]))
            at = own["at"]
            if at in (END, "dead"):
                continue
            if at == "dying":
                stepped = True
                if own["locks"]:
                    lock = own["locks"][-1]
                    own["locks"] = own["locks"][:-1]
                    now = dict(zip(shared_keys, values))
                    now[lock] = DIED
                    visit(state, f"{me}: the kernel marks {lock}", killed, values_of(now), me, own)
                else:
                    own["at"] = "dead"
                    now = dict(zip(shared_keys, values))
                    leave(now, me)
                    visit(state, f"{me}: gone", killed, values_of(now), me, own)
                continue
            if killed < kills:
                visit(state, f"{me}: KILLED at {at}", killed + 1, values, me, {**own, "at": "dying"})
            now = dict(zip(shared_keys, values))
            try:
                after = program[at](now, own, me)
            except Broken as problem:
                wrong.setdefault(str(problem), path(state) + [f"{me}: {at}"])
                stepped = True
                continue
            if after is None:
                continue
            stepped = True
            own["at"] = after
            if after == END:
                leave(now, me)
            visit(state, f"{me}: {at}", killed, values_of(now), me, own)
        if not stepped and final is not None:
            problem = final(*thaw(state))
            if problem:
                wrong.setdefault(problem, path(state))
    return len(reached_by), wrong


class Suite:
    """Collects models with what each must find: nothing, or one named flaw when a rule is left out."""

    def __init__(self, name):
        self.name = name
        self.figures = {"checked": 0, "rules_left_out": 0, "states": 0, "failures": 0}

    def expect(self, name, result, flaw=None):
        states, wrong = result
        good = not wrong if flaw is None else any(flaw in problem for problem in wrong)
        said = "; ".join(wrong) or "clean"
        print(f"{'ok  ' if good else 'FAIL'} {name}: {states} states, {said}", flush=True)
        self.figures["checked" if flaw is None else "rules_left_out"] += 1
        self.figures["states"] += states
        if not good:
            self.figures["failures"] += 1
            for problem, steps in wrong.items():
                print(f"     {problem}:\n       " + "\n       ".join(steps))

    def finish(self):
        """The exit status. Leaves the figures where tests/support/report.hpp says."""
        print("{checked} checked, {rules_left_out} rules left out, {failures} failed".format(**self.figures))
        directory = os.environ.get("CAIRN_REPORT_DIR")
        if directory:
            with open(os.path.join(directory, f"model_{self.name}.json"), "w", encoding="utf-8") as to:
                json.dump(self.figures, to, indent=2)
        return 1 if self.figures["failures"] else 0
