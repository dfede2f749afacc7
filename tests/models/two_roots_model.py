# SPDX-License-Identifier: BSL-1.0
"""Transactions over two roots: src/containers/pair_transaction.cpp, and what src/txn/root_recovery.cpp does with what they leave
(settle_outstanding, undo_log_of_root).

Roots "A" to "C", locked in that order. What undo_model.py checks of one root is one step here: a logged store, and its undoing.

  A, B, C     the locks
  outX        root_slot.outstanding of X: the other root of the transaction that X is the first root of
  comX        root_slot.committed
  logX        the records of the undo log: (word, old value)
  decX        root_slot.decided_root and decided_number: (root, number)
  verX        root_slot.version, odd while the root is being changed
  x1, x2      two words of X: the numbers of the processes whose change is in them
  erased      roots that were removed and made anew since

A transaction over two roots is committed by the store of `committed`; one over a single root by emptying its log. `acked` are the
processes whose operation has returned. A reader looks at two roots, one after the other, without their locks.
"""
import sys

from checker import DIED, END, Broken, Suite, acquire, explore, release

ROOTS = "ABC"
RULES = dict(
    marks_first=True,         # `outstanding` is stored before anything is logged,
    unmarks_last=True,        # and wiped when the other root's log is empty
    both_logs_name_it=True,   # the decision stands in both roots
    settles=True,             # who locks a root with a mark settles the other one first,
    lets_go=True,             # and lets go of it,
    asks_whose=True,          # unless that is settled already
    eraser_settles=True,      # also who removes it
    forgets_always=True,      # what says who decides goes with every recovery, also where the log is empty
    throws_undecided=True,    # who takes both back wipes the decisions before the mark
    odd_to_the_end=True,      # versions, of both
    keeps_count=True,         # `committed` goes on where a root is made anew in the same place
)


def words(root):
    return root.lower() + "1", root.lower() + "2"


def is_decided(shared, root):
    decided = shared["dec" + root]
    return bool(decided) and shared["com" + decided[0]] == decided[1]


def program(kind, roots, rules, tag):
    """`kind`: "two" or "one" root changed, "throws": two and then none, "erase", "impatient": gives up where it would wait for the
    other root, "reader" of two."""
    steps = {}
    settles = rules["settles"] and (kind != "erase" or rules["eraser_settles"])

    def step(label):
        def enter(function):
            steps[label] = function
            return function
        return enter

    def store(label, key, value, following):
        def go(shared, own, me):
            shared[key] = value(shared, own) if callable(value) else value
            return following
        steps[label] = go

    # ---- locking, and what the dead have left

    @step("start")
    def start(shared, own, me):
        return acquire(shared, own, me, own["x"], "locked", "settle")

    @step("settle")
    def settle(shared, own, me):
        other = shared["out" + own["x"]]
        if not settles or not other:
            return "undo"
        if rules["asks_whose"] and shared["dec" + other][:1] != (own["x"],):
            return "unmark"
        if other in own["locks"]:
            raise Broken("waits for itself")
        own["stack"] += (own["x"],)
        own["x"] = other
        return "lock other"

    @step("lock other")
    def lock_other(shared, own, me):
        if kind == "impatient":
            while own["stack"]:
                shared[own["stack"][-1]] = DIED
                own["locks"] = tuple(held for held in own["locks"] if held != own["stack"][-1])
                own["stack"] = own["stack"][:-1]
            return END
        return acquire(shared, own, me, own["x"], "settled", "settle")

    @step("settled")
    def settled(shared, own, me):
        if rules["lets_go"]:
            release(shared, own, me, own["x"])
        own["x"], own["stack"] = own["stack"][-1], own["stack"][:-1]
        return "unmark"

    @step("unmark")
    def unmark(shared, own, me):
        shared["out" + own["x"]] = ""
        return "undo"

    @step("undo")
    def undo(shared, own, me):
        root = own["x"]
        if not is_decided(shared, root):
            for word, old in reversed(shared["log" + root]):
                if shared[word] != old:
                    shared[word] = old
                    return "undo"
        return "forget"

    @step("forget")
    def forget(shared, own, me):
        had = shared["log" + own["x"]]
        shared["log" + own["x"]] = ()
        return "undecide" if had or rules["forgets_always"] else "recovered"

    @step("undecide")
    def undecide(shared, own, me):
        shared["dec" + own["x"]] = ()
        return "recovered"

    @step("recovered")
    def recovered(shared, own, me):
        if kind != "throws" or own["phase"] == "locking" or own["stack"]:
            shared["ver" + own["x"]] = (shared["ver" + own["x"]] + 1) // 2 * 2
        if own["stack"]:
            return "settled"
        return "locked" if own["phase"] == "locking" else "even second" if own["x"] == roots[1] else "even first"

    @step("locked")
    def locked(shared, own, me):
        if own["x"] != roots[-1]:
            own["x"] = roots[-1]
            return "start" if own["x"] not in own["locks"] else "locked"
        own["phase"] = "inside"
        return "begin"

    # ---- what is done under the locks

    def logged(root, label, following):
        for i, word in enumerate(words(root)):
            after = label + str(i + 1) if i == 0 else following
            def log(shared, own, me, word=word, at=label + str(i)):
                shared["log" + root] += ((word, shared[word]),)
                return at + "s"
            steps[label + str(i)] = log
            store(label + str(i) + "s", word, lambda shared, own, word=word: shared[word] | {tag}, after)

    def unlock(label, root, following):
        def go(shared, own, me):
            release(shared, own, me, root)
            if following == END:
                own["acked"] = True
                for kept in own["locks"]:
                    release(shared, own, me, kept)
            return following
        steps[label] = go

    def even(shared, root):
        return (shared["ver" + root] + 1) // 2 * 2

    if kind == "one":
        (x,) = roots
        store("begin", "ver" + x, lambda s, o: s["ver" + x] | 1, "x0")
        logged(x, "x", "commit")
        store("commit", "log" + x, (), "even")
        store("even", "ver" + x, lambda s, o: even(s, x), "unlock")
        unlock("unlock", x, END)
    elif kind == "erase":
        (x,) = roots
        def erase(shared, own, me):
            for word in words(x):
                shared[word] = frozenset()
            shared.update({"out" + x: "", "log" + x: (), "dec" + x: ()})
            if not rules["keeps_count"]:
                shared["com" + x] = 0
            shared["erased"] += x
            return "unlock"
        steps["begin"] = erase
        unlock("unlock", x, END)
    elif kind in ("two", "throws", "impatient"):
        x, y = roots
        def number(shared, own):
            own["number"] = shared["com" + x] + 1
            return y
        after_mark = "decide x" if rules["both_logs_name_it"] else "decide y"
        if rules["marks_first"]:
            store("begin", "out" + x, number, after_mark)
        else:
            def first(shared, own, me):
                own["number"] = shared["com" + x] + 1
                return after_mark
            steps["begin"] = first
            store("mark", "out" + x, y, "commit")
        store("decide y", "dec" + y, lambda s, o: (x, o["number"]), "odd x")
        store("decide x", "dec" + x, lambda s, o: (x, o["number"]), "decide y")
        store("odd x", "ver" + x, lambda s, o: s["ver" + x] | 1, "odd y")
        store("odd y", "ver" + y, lambda s, o: s["ver" + y] | 1, "x0")
        logged(x, "x", "y0")
        logged(y, "y", "take back" if kind == "throws" else "commit" if rules["marks_first"] else "mark")
        if rules["odd_to_the_end"]:
            store("commit", "com" + x, lambda s, o: o["number"], "clear y" if rules["unmarks_last"] else "early unmark")
        else:
            store("commit", "ver" + y, lambda s, o: even(s, y), "commit late")
            store("commit late", "com" + x, lambda s, o: o["number"], "clear y")
        last = "even second"
        store("early unmark", "out" + x, "", "clear y")
        store("clear y", "log" + y, (), "clear dec y")
        store("clear dec y", "dec" + y, (), "clear x")
        store("clear x", "log" + x, (), "clear dec x")
        store("clear dec x", "dec" + x, (), "clear out" if rules["unmarks_last"] else last)
        store("clear out", "out" + x, "", last)
        # Taken back: the decisions first, then each root by its log.
        def take_back(shared, own, me):
            own["x"] = y
            if rules["throws_undecided"]:
                shared["dec" + y] = ()
                return "take back x"
            shared["out" + x] = ""
            return "undo"
        steps["take back"] = take_back
        store("take back x", "dec" + x, (), "take back mark")
        store("take back mark", "out" + x, "", "undo")
        store("even second", "ver" + y, lambda s, o: even(s, y), "unlock second")
        if kind == "throws":
            def unlock_second(shared, own, me):
                release(shared, own, me, y)
                own["x"] = x
                return "undo"
            steps["unlock second"] = unlock_second
        else:
            unlock("unlock second", y, "even first")
        store("even first", "ver" + x, lambda s, o: even(s, x), "unlock first")
        unlock("unlock first", x, END)
    return steps


def reader(first, second):
    """Looks at two roots, each as a whole."""
    def look(shared, own, root):
        if shared["ver" + root] % 2:
            return None
        return shared["ver" + root]

    def part(root, at, following):
        one, two = words(root)

        def begin(shared, own, me):
            own["version"] = look(shared, own, root)
            return at + " 1" if own["version"] is not None else None

        def first_word(shared, own, me):
            own["seen" + one] = shared[one]
            return at + " 2"

        def second_word(shared, own, me):
            own["seen" + two] = shared[two]
            return at + " compare"

        def compare(shared, own, me):
            return following if shared["ver" + root] == own["version"] else at

        return {at: begin, at + " 1": first_word, at + " 2": second_word, at + " compare": compare}

    return {**part(first, "start", "second"), **part(second, "second", END)}


def model(jobs, kills, readers=(), **left_out):
    rules = {**RULES, **left_out}
    shared = {"erased": ""}
    for root in ROOTS:
        shared.update({root: 0, "out" + root: "", "com" + root: 0, "log" + root: (), "dec" + root: (), "ver" + root: 0})
        shared.update({word: frozenset() for word in words(root)})
    processes = [(program(kind, tuple(roots), rules, tag),
                  dict(x=roots[0], stack=(), phase="locking", number=0, acked=False))
                 for tag, (kind, roots) in enumerate(jobs)]
    for first, second in readers:
        seen = {"seen" + word: frozenset() for root in (first, second) for word in words(root)}
        processes.append((reader(first, second), dict(version=0, **seen)))
    reading = range(len(jobs), len(processes))

    def recover_alone(now, order):
        """What later processes find, which come to the roots in that order."""
        now = dict(now)

        def lock(root):
            if now[root] != DIED:
                return
            now[root] = 0
            other = now["out" + root]
            if other:
                lock(other)
                now["out" + root] = ""
            if not is_decided(now, root):
                for word, old in reversed(now["log" + root]):
                    now[word] = old
            now["log" + root], now["dec" + root] = (), ()

        for root in order:
            lock(root)
        return now

    def final(now, owns):
        if any(own["at"] not in (END, "dead") for own in owns[:len(jobs)]):
            return "waits for ever"
        for order in ("ABC", "CBA", "BAC"):
            after = recover_alone(now, order)
            for root in ROOTS:
                one, two = words(root)
                if after[one] != after[two]:
                    return "torn"
            for tag, (kind, roots) in enumerate(jobs):
                there = [tag in after[words(root)[0]] for root in roots if root not in after["erased"]]
                if kind in ("two", "impatient") and len(there) == 2 and there[0] != there[1]:
                    return "half a transaction"
                if kind == "throws" and any(there):
                    return "not taken back"
                if kind in ("one", "two") and owns[tag]["acked"] and not all(there):
                    return "acknowledged, and undone"
        return None

    def invariant(now, owns):
        for me in reading:
            if owns[me]["at"] != END:
                continue
            first, second = readers[me - len(jobs)]
            for tag, (kind, roots) in enumerate(jobs):
                if kind != "two" or set(roots) != {first, second}:
                    continue
                if tag in owns[me]["seen" + words(first)[0]] and tag not in owns[me]["seen" + words(second)[0]]:
                    return "a reader sees half a transaction"
            if any(owns[me]["seen" + words(root)[0]] != owns[me]["seen" + words(root)[1]] for root in (first, second)):
                return "a reader sees half a change"
        return None

    return explore(shared, processes, kills, invariant, final, spared=tuple(reading))


def main():
    suite = Suite("two_roots")
    two, one, throws, erase, impatient = "two", "one", "throws", "erase", "impatient"
    for name, jobs, kills in (
            ("and changes of each alone", [(two, "AB"), (one, "B"), (one, "A")], 2),
            ("the same root first", [(two, "AB"), (two, "AC"), (one, "B")], 1),
            ("a chain", [(two, "AB"), (two, "BC"), (two, "AC")], 2),
            ("taken back", [(throws, "AB"), (two, "AC"), (one, "B")], 2),
            ("removed, and made anew", [(two, "AB"), (erase, "A"), (two, "AC")], 2),
            ("the second one removed", [(two, "AB"), (erase, "B"), (two, "AB")], 1),
            ("one that gives up waiting", [(two, "AB"), (impatient, "AC"), (one, "B"), (one, "A")], 1)):
        suite.expect(f"two roots, {name}, {kills} kills", model(jobs, kills))
    for first, second in ("AB", "BA"):
        suite.expect(f"a reader of {first}, then {second}", model([(two, "AB"), (two, "AB")], 1, [(first, second)]))

    chain = [(two, "AB"), (two, "AC"), (one, "B")]
    suite.expect("marked when all is logged", model(chain, 1, marks_first=False), "half a transaction")
    suite.expect("unmarked before the other root is in order", model(chain, 1, unmarks_last=False), "half a transaction")
    suite.expect("the first root's own log decides for itself", model([(two, "AB"), (one, "A")], 1, both_logs_name_it=False),
                 "half a transaction")
    suite.expect("the next one does not settle", model(chain, 1, settles=False), "half a transaction")
    suite.expect("settles, and keeps the lock", model([(two, "AC"), (two, "AB"), (two, "BC")], 1, lets_go=False), "waits for")
    suite.expect("who removes it does not settle",
                 model([(two, "AB"), (erase, "A"), (two, "AC"), (one, "B")], 1, eraser_settles=False, keeps_count=False),
                 "torn")
    suite.expect("a decision is left where the log is empty", model([(two, "AB"), (one, "A"), (one, "A")], 2, forgets_always=False),
                 "torn")
    suite.expect("taken back, and the decision left",
                 model([(throws, "AB"), (two, "AC"), (one, "B")], 1, throws_undecided=False), "not taken back")
    suite.expect("the second version even before the commit", model([(two, "AB"), (one, "A")], 1, [("B", "A")], odd_to_the_end=False),
                 "a reader sees half")
    suite.expect("settles what others have settled", model([(two, "AB"), (two, "AC"), (one, "B")], 1, asks_whose=False))
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
