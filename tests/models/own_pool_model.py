# SPDX-License-Identifier: BSL-1.0
"""Tasks that submit to the pool that they run in, and wait: src/pool/process_pool_submitting.cpp (run_here), pool_core.cpp
(lists_for, give_results_to_owner).

A step is one commit under the root's lock, or the death of a worker; pool_model.py has what happens inside of one. A task submits its
children in turn, and then waits for each in turn. It is tried again after the death of its worker, with new children. What is
modelled:

  queue     the tasks that wait: (task, number, submitter, whether a worker had it before); a submitter is (place, incarnation), or OWNER
  workers   of each place: its incarnation, 0 where nobody is; whether it is dead and not settled; the tasks on its stack, from the one
            that was taken to the one that runs; the numbers of what has come back to it
  owner     the numbers of what has come back to the owner

Checked: where nobody can step, the root's result is the owner's, and nothing is left; nobody gets what it has not submitted.
"""
import sys
from collections import deque

from checker import Suite

OWNER = (-1, 0)
ROOT = 0

# Who submits what.
CHAIN = {0: (1,), 1: (2,), 2: ()}
FORK = {0: (1, 2), 1: (3,), 2: (), 3: ()}
WIDE = {0: (1, 2, 3), 1: (), 2: (), 3: ()}

RULES = dict(
    runs_in_place=True,          # who waits runs what nobody has begun
    by_incarnation=True,         # a result goes to the worker that has submitted it, not to whoever has its place now
    results_of_the_gone=True,    # go to the owner
    again_first=True,            # what is tried again waits before the others
)


class Broken(Exception):
    pass


def steps_of(state, tree, kills, rules):
    """All (name, state) that follow."""
    queue, workers, owner, last_number, last_incarnation, killed = state
    found = []

    def with_worker(place, worker, **changed):
        return (changed.get("queue", queue), workers[:place] + (worker,) + workers[place + 1:], changed.get("owner", owner),
                changed.get("last_number", last_number), changed.get("last_incarnation", last_incarnation),
                changed.get("killed", killed))

    for place, (incarnation, dead, stack, back) in enumerate(workers):
        if incarnation == 0:
            found.append(("start", with_worker(place, (last_incarnation + 1, False, (), frozenset()),
                                               last_incarnation=last_incarnation + 1)))
            continue
        if dead:
            found.append(("settle", settle(state, place, rules)))
            continue
        if killed < kills:
            found.append(("kill", with_worker(place, (incarnation, True, stack, back), killed=killed + 1)))
        if not stack:
            if queue:
                task, number, by, _ = queue[0]
                frame = (task, number, by, 0, ())
                found.append(("take", with_worker(place, (incarnation, False, (frame,), back), queue=queue[1:])))
            continue
        task, number, by, at, children = stack[-1]
        wanted = tree[task]
        if at < len(wanted):
            child = (wanted[at], last_number + 1, (place, incarnation), False)
            frame = (task, number, by, at + 1, children + (last_number + 1,))
            found.append(("submit", with_worker(place, (incarnation, False, stack[:-1] + (frame,), back),
                                                queue=queue + (child,), last_number=last_number + 1)))
        elif children:
            if children[0] in back:
                frame = (task, number, by, at, children[1:])
                found.append(("got it", with_worker(
                    place, (incarnation, False, stack[:-1] + (frame,), back - {children[0]}))))
                continue
            for i, (other, its_number, its_submitter, was_begun) in enumerate(queue):
                if its_number == children[0] and not was_begun and rules["runs_in_place"]:
                    frame = (other, its_number, its_submitter, 0, ())
                    found.append(("run in place", with_worker(place, (incarnation, False, stack + (frame,), back),
                                                              queue=queue[:i] + queue[i + 1:])))
        elif len(stack) > 1:
            found.append(("returned", with_worker(place, (incarnation, False, stack[:-1], back | {number}))))
        else:
            after = with_worker(place, (incarnation, False, (), back))
            found.append(("finish", give(after, number, by, rules)))
    return found


def give(state, number, by, rules):
    queue, workers, owner, *rest = state
    if by == OWNER:
        return (queue, workers, owner | {number}, *rest)
    place, incarnation = by
    now, dead, stack, back = workers[place]
    if now != incarnation and rules["by_incarnation"]:
        return state if rules["results_of_the_gone"] else _lost(number)
    if now != incarnation:
        raise Broken("a worker gets a result that it has not submitted")
    return (queue, workers[:place] + ((now, dead, stack, back | {number}),) + workers[place + 1:], owner, *rest)


def _lost(number):
    raise Broken("result %d is nobody's" % number)


def settle(state, place, rules):
    queue, workers, *rest = state
    _, _, stack, _ = workers[place]
    if stack:
        task, number, by, _, _ = stack[0]
        again = (task, number, by, True)
        queue = (again,) + queue if rules["again_first"] else queue + (again,)
    return (queue, workers[:place] + ((0, False, (), frozenset()),) + workers[place + 1:], *rest)


def check(tree, places, kills, limit=1_500_000, **left_out):
    rules = {**RULES, **left_out}
    first = (((ROOT, 1, OWNER, False),), ((0, False, (), frozenset()),) * places, frozenset(), 1, 0, 0)
    reached_by = {first: None}
    pending = deque([first])
    wrong = {}

    def path(state):
        names = []
        while reached_by[state] is not None:
            state, name = reached_by[state]
            names.append(name)
        return names[::-1]

    while pending:
        state = pending.popleft()
        try:
            following = steps_of(state, tree, kills, rules)
        except Broken as problem:
            wrong.setdefault(str(problem), path(state))
            continue
        queue, workers, owner, *_ = state
        if all(name in ("kill",) for name, _ in following):
            idle = all(not stack for _, _, stack, _ in workers)
            if 1 not in owner:
                wrong.setdefault("who waits waits for ever", path(state))
            elif queue or not idle:
                wrong.setdefault("something is left", path(state))
        for name, after in following:
            if after in reached_by:
                continue
            reached_by[after] = (state, name)
            pending.append(after)
            if len(reached_by) > limit:
                raise RuntimeError("too many states")
    return len(reached_by), wrong


def main():
    suite = Suite("own_pool")
    suite.expect("a chain, one worker, 2 kills", check(CHAIN, 1, 2))
    suite.expect("a chain, two workers, 2 kills", check(CHAIN, 2, 2))
    suite.expect("a fork, two workers, 1 kill", check(FORK, 2, 1))
    suite.expect("three children, two workers, 1 kill", check(WIDE, 2, 1))
    suite.expect("a chain, three workers, 1 kill", check(CHAIN, 3, 1))
    suite.expect("tried again behind the others", check(FORK, 2, 1, again_first=False))

    suite.expect("nobody runs what it waits for", check(CHAIN, 1, 0, runs_in_place=False), "waits for ever")
    suite.expect("nobody runs what it waits for, two workers", check(CHAIN, 2, 0, runs_in_place=False), "waits for ever")
    suite.expect("results go by place", check(CHAIN, 2, 1, by_incarnation=False), "has not submitted")
    suite.expect("results of the gone are dropped", check(CHAIN, 2, 1, results_of_the_gone=False), "is nobody's")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
