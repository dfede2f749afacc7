# SPDX-License-Identifier: BSL-1.0
"""Transactions over two roots A < B: the rules, for code that is still to come.

The lower root decides. What a root X has for it, beside its lock and its undo log:

  com_X  committed: the number of the last transaction that X decided; only grows, also when the root is erased
  out_X  outstanding: the other root of a transaction that X decides and that may be unfinished, or ""
  log_X  the undo log: (word, old value), counted records only
  dec_X  decided-by of that log: (root, number), or ()
  x1 x2  the words of X: each a set with the names of the transactions that it has seen

The order of a writer's steps:
  1. lock A, lock B; n = com_A + 1
  2. out_A = B; dec_A = (A, n); dec_B = (A, n)
  3. records and stores, in both
  4. com_A = n: the commit
  5. log_B, dec_B, log_A, dec_A, out_A emptied, in that order; unlock B, A
Recovery of a root: a log whose dec says (X, n) with com_X == n is forgotten, any other replayed; dec is cleared always.
Whoever locks a root with an outstanding mark locks the other one, which repairs it, unlocks it, clears the mark, and only
then goes on to any further lock.
"""
import itertools
import sys

from checker import DIED, END, Suite, acquire, explore, release

ROOTS = "ABC"
RULES = dict(
    own_log_is_decided=True,     # the deciding root's own log names the number, too
    mark_outlives_logs=True,     # out_A is the last to go
    lockers_settle=True,         # whoever finds an outstanding mark settles it
    eraser_settles=True,         # ... also who comes to erase
    settled_is_unlocked=True,    # and lets the other root go before any further lock
    decided_cleared_always=True, # by recovery, also when the log is empty
    commit_is_one_store=True,    # by com_A, not by emptying the logs one after the other
)


def words(root):
    return root.lower() + "1", root.lower() + "2"


def must_replay(s, root):
    decided = s["dec_" + root]
    return not (decided and s["com_" + decided[0]] == decided[1])


def operation(kind, first, second=None, tag=None, **changed):
    """`two`: a transaction over `first` and `second`; `one`: over `first` alone; `erase`: `first`, and a new root is there."""
    rules = {**RULES, **changed}
    settles = rules["lockers_settle"] and (kind != "erase" or rules["eraser_settles"])
    steps = {}

    def then(label, action, following):
        def step(s, o, me):
            action(s, o)
            return following
        steps[label] = step

    # -- locking o["want"]; o["back"] says for whom another root is being settled ----------------------------------------------
    def start(s, o, me):
        o["want"] = first
        return "lock"
    steps["start"] = start

    def lock(s, o, me):
        want = o["want"]
        died = s[want] == DIED
        label = acquire(s, o, me, want, "locked", "locked")
        if label and died:
            o["died"] += (want,)
        return label
    steps["lock"] = lock

    def locked(s, o, me):
        want = o["want"]
        other = s["out_" + want]
        if settles and other:
            o["back"] += (want,)
            o["want"] = other
            return "lock"
        return "recover" if want in o["died"] else "entered"
    steps["locked"] = locked

    def recover(s, o, me):
        want = o["want"]
        o["i"] = len(s["log_" + want])
        return "replay" if must_replay(s, want) else "empty"
    steps["recover"] = recover

    def replay(s, o, me):
        if o["i"] == 0:
            return "empty"
        o["i"] -= 1
        word, old = s["log_" + o["want"]][o["i"]]
        s[word] = old
        return "replay"
    steps["replay"] = replay

    def empty(s, o, me):
        o["i"] = len(s["log_" + o["want"]])
        s["log_" + o["want"]] = ()
        return "undecided"
    steps["empty"] = empty

    def undecided(s, o, me):
        if rules["decided_cleared_always"] or o["i"]:
            s["dec_" + o["want"]] = ()
        o["i"] = 0
        o["died"] = tuple(r for r in o["died"] if r != o["want"])
        return "entered"
    steps["undecided"] = undecided

    def entered(s, o, me):
        if o["back"]:
            return "settled"
        if o["want"] == first and second:
            if second in o["locks"]:  # kept by a settlement
                return "body"
            o["want"] = second
            return "lock"
        return "body"
    steps["entered"] = entered

    def settled(s, o, me):
        if rules["settled_is_unlocked"]:
            release(s, o, me, o["want"])
        o["want"] = o["back"][-1]
        o["back"] = o["back"][:-1]
        return "clear mark"
    steps["settled"] = settled

    def clear_mark(s, o, me):
        s["out_" + o["want"]] = ""
        return "recover" if o["want"] in o["died"] else "entered"
    steps["clear mark"] = clear_mark

    # -- the operation ----------------------------------------------------------------------------------------------------------
    def stores(root, label, following):
        for word, next_label in zip(words(root), (label + " 2", following)):
            then(label, lambda s, o, word=word: s.update({"log_" + root: s["log_" + root] + ((word, s[word]),)}),
                 label + " store")
            then(label + " store", lambda s, o, word=word: s.update({word: s[word] | {tag}}), next_label)
            label += " 2"

    def unlock(label, root, following):
        def step(s, o, me):
            for kept in o["locks"]:
                if following == END and kept != root:
                    release(s, o, me, kept)
            release(s, o, me, root)
            o["done"] = following == END
            o["want"] = "" if following == END else o["want"]
            return following
        steps[label] = step

    if kind == "two":
        then("body", lambda s, o: o.update(n=s["com_" + first] + 1), "outstanding")
        then("outstanding", lambda s, o: s.update({"out_" + first: second}),
             "decided first" if rules["own_log_is_decided"] else "decided second")
        then("decided first", lambda s, o: s.update({"dec_" + first: (first, o["n"])}), "decided second")
        then("decided second", lambda s, o: s.update({"dec_" + second: (first, o["n"])}), "first")
        stores(first, "first", "second")
        stores(second, "second", "commit" if rules["commit_is_one_store"] else "empty second")
        then("commit", lambda s, o: s.update({"com_" + first: o["n"]}),
             "empty second" if rules["mark_outlives_logs"] else "unmark early")
        then("unmark early", lambda s, o: s.update({"out_" + first: ""}), "empty second")
        then("empty second", lambda s, o: s.update({"log_" + second: ()}), "undecided second")
        then("undecided second", lambda s, o: s.update({"dec_" + second: ()}), "empty first")
        then("empty first", lambda s, o: s.update({"log_" + first: ()}),
             "undecided first" if rules["decided_cleared_always"] else "unmark")
        then("undecided first", lambda s, o: s.update({"dec_" + first: ()}), "unmark")
        then("unmark", lambda s, o: s.update({"out_" + first: ""}), "unlock second")
        unlock("unlock second", second, "unlock first")
    elif kind == "one":
        then("body", lambda s, o: None, "first")
        stores(first, "first", "commit")
        then("commit", lambda s, o: s.update({"log_" + first: ()}), "unlock first")
    else:
        then("body", lambda s, o: s.update({words(first)[0]: frozenset(), words(first)[1]: frozenset(),
                                            "out_" + first: "", "log_" + first: (), "dec_" + first: (),
                                            "erased": s["erased"] + first}), "unlock first")
    unlock("unlock first", first, END)
    return steps, {"want": "", "died": (), "back": (), "i": 0, "n": 0, "done": False}


def repair(s, root, rules):
    """What the next one to lock `root` would do."""
    if rules["lockers_settle"] and s["out_" + root]:
        repair(s, s["out_" + root], rules)
        s["out_" + root] = ""
    if s[root] == DIED:
        s[root] = 0
        if must_replay(s, root):
            for word, old in reversed(s["log_" + root]):
                s[word] = old
        s["log_" + root], s["dec_" + root] = (), ()


def check(*operations, kills=2, **changed):
    rules = {**RULES, **changed}
    shared = {"erased": ""}
    for root in ROOTS:
        shared.update({root: 0, "com_" + root: 0, "out_" + root: "", "log_" + root: (), "dec_" + root: (),
                       words(root)[0]: frozenset(), words(root)[1]: frozenset()})

    def final(last, owns):
        if any(own["at"] not in (END, "dead") for own in owns):
            return "somebody waits for ever"
        used = sorted({root for _, *roots in operations for root in roots})
        for order in itertools.permutations(used):  # whoever comes next may come to any root first
            s = dict(last)
            for root in order:
                repair(s, root, rules)
            for root in used:
                if s[words(root)[0]] != s[words(root)[1]]:
                    return "a torn root"
            for i, (kind, *roots) in enumerate(operations):
                if kind == "erase" or any(root in s["erased"] for root in roots):
                    continue
                seen = [f"t{i}" in s[words(root)[0]] for root in roots]
                if len(set(seen)) > 1:
                    return "half a transaction"
                if owns[i]["done"] and not all(seen):
                    return "acknowledged, and undone"
        return None

    return explore(shared, [operation(kind, *roots, tag=f"t{i}", **changed)
                            for i, (kind, *roots) in enumerate(operations)], kills, final=final)


def main():
    suite = Suite("roots")
    ab, ac, bc = ("two", "A", "B"), ("two", "A", "C"), ("two", "B", "C")
    one_a, one_b, erase_a = ("one", "A"), ("one", "B"), ("erase", "A")
    suite.expect("(A, B), B, A, 2 kills", check(ab, one_b, one_a))
    suite.expect("(A, B) twice, B, 2 kills", check(ab, ab, one_b))
    suite.expect("chain (A, B), (B, C), (A, C), 2 kills", check(ab, bc, ac))
    suite.expect("(A, B), (A, C), B, 2 kills", check(ab, ac, one_b))
    suite.expect("(A, B), A erased and made anew, (A, C), 2 kills", check(ab, erase_a, ac))
    suite.expect("(A, B), A erased and made anew, (A, C), B, 1 kill", check(ab, erase_a, ac, one_b, kills=1))

    suite.expect("without its own number in the deciding root's log",
                 check(ab, one_a, kills=1, own_log_is_decided=False), "half a transaction")
    suite.expect("without a mark that outlives the logs",
                 check(ab, ac, one_b, kills=1, mark_outlives_logs=False), "half a transaction")
    suite.expect("without a settlement by who locks next",
                 check(ab, ac, one_b, kills=1, lockers_settle=False), "torn")
    suite.expect("without a settlement by who erases",
                 check(ab, erase_a, ac, one_b, kills=1, eraser_settles=False), "torn")
    suite.expect("a settlement that keeps the other root locked",
                 check(ac, ab, bc, kills=1, settled_is_unlocked=False), "waits for ever")
    suite.expect("a decided-by that stays when the log is empty",
                 check(ab, one_a, one_a, kills=1, decided_cleared_always=False), "torn")
    suite.expect("without one store that commits both",
                 check(ab, one_a, kills=1, commit_is_one_store=False), "half a transaction")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
