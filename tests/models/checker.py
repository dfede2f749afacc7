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
from array import array
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


def explore(shared, processes, kills, invariant=None, final=None, limit=2_000_000, *, spared=(), strike=None, local=(),
            tick=None, must_end=False):
    """All states reachable by `processes` [(program, own variables)], with up to `kills` kills.

    Returns (number of states, {what is wrong: steps that lead there, the shortest first found}).
    `invariant(shared, owns)` is asked in every state, `final(shared, owns)` where nobody can step; each says what is
    wrong, or None. Every variable has to be there from the start.

    `spared`: processes that are not killed. Those in shared["signalled"], if it is there, can be killed beyond `kills`: a
    process of the model has sent them SIGKILL. `strike(shared, own, me, is_signalled)` says what a kill does, all at once, in
    place of the kernel's steps. `local`: labels of steps that nobody else sees or hinders; while a process has one to make, the
    others wait, since the order makes no difference. `tick(shared, owns)` is asked where nobody can step: the (process, label)
    pairs to which the clock leads. `must_end`: there is no cycle of steps, so that every run with a bounded number of kills and
    ticks ends where `final` is asked, whoever is scheduled.
    """
    programs = [program for program, _ in processes]
    owns = [{"at": "start", "locks": (), **own} for _, own in processes]
    shared_keys, own_keys = tuple(shared), [tuple(own) for own in owns]
    signalled_at = shared_keys.index("signalled") if "signalled" in shared else None

    # A state is (kills so far, values of shared variables, values of each process).
    def freeze_own(own, keys):
        assert len(own) == len(keys), f"new variables: {set(own) - set(keys)}"
        return tuple(own.values())  # in the order of the keys, as it was made of them

    def thaw(state):
        return dict(zip(shared_keys, state[1])), [dict(zip(keys, own)) for keys, own in zip(own_keys, state[2])]

    edges = array("I")  # of steps: from, to; numbers of states
    first = (0, tuple(shared.values()), tuple(freeze_own(own, keys) for own, keys in zip(owns, own_keys)))
    reached_by = {first: None}
    numbers = {first: 0} if must_end else None
    queue = deque([first])
    wrong = {}

    def path(state):
        steps = []
        while reached_by[state] is not None:
            state, text = reached_by[state]
            steps.append(text)
        return steps[::-1]

    def visit(before, text, killed, values, me, own, is_step=True):
        """What `me` has changed: its own variables, and the shared ones if `values` are new."""
        all_own = before[2]
        state = (killed, values, all_own[:me] + (freeze_own(own, own_keys[me]),) + all_own[me + 1:])
        if must_end and is_step:
            edges.extend((numbers[before], numbers.setdefault(state, len(numbers))))
        elif must_end:
            numbers.setdefault(state, len(numbers))
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
        return tuple(now.values())

    def kill(state, me, own, is_signalled):
        killed, values, _ = state
        now, own, at = dict(zip(shared_keys, values)), dict(own), own["at"]
        text = f"{me}: {'dies of the signal' if is_signalled else 'KILLED'} at {at}"
        if strike is None:
            own["at"] = "dying"
        else:
            own["at"] = "dead"
            try:
                strike(now, own, me, is_signalled)
            except Broken as problem:
                wrong.setdefault(str(problem), path(state) + [text])
                return
        visit(state, text, killed + (not is_signalled), values_of(now), me, own, False)

    while queue:
        state = queue.popleft()
        killed, values, all_own = state
        if len(reached_by) > limit:
            wrong.setdefault("too many states", [])
            break
        stepped = False
        movers = range(len(programs))
        if local:
            movers = next(((me,) for me in movers if all_own[me][0] in local), movers)
        signalled = values[signalled_at] if signalled_at is not None else ()
        for me in movers:
            if all_own[me][0] in (END, "dead"):
                continue
            program = programs[me]
            own = dict(zip(own_keys[me], all_own[me]))
            at = own["at"]
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
            if me in signalled:
                stepped = True
                kill(state, me, own, True)
            elif killed < kills and me not in spared:
                kill(state, me, own, False)
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
        if not stepped and tick is not None:
            for me, label in tick(*thaw(state)):
                stepped = True
                own = dict(zip(own_keys[me], all_own[me]))
                own["at"] = label
                visit(state, f"{me}: TICK", killed, values, me, own, False)
        if not stepped and final is not None:
            problem = final(*thaw(state))
            if problem:
                wrong.setdefault(problem, path(state))
    if must_end and not wrong and has_cycle(len(numbers), edges):
        wrong["steps without an end"] = []
    return len(reached_by), wrong


def has_cycle(count, edges):
    """Takes away what nothing leads to, until nothing is left."""
    leads = [0] * count
    after = [[] for _ in range(count)]
    for i in range(0, len(edges), 2):
        leads[edges[i + 1]] += 1
        after[edges[i]].append(edges[i + 1])
    free = [state for state in range(count) if not leads[state]]
    for state in free:
        for following in after[state]:
            leads[following] -= 1
            if not leads[following]:
                free.append(following)
    return len(free) != count


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
