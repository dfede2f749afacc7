# SPDX-License-Identifier: BSL-1.0
"""A writer, its recovery, and readers without the lock: include/cairn/detail/txn/root_transaction.hpp (the order of a
writer's steps), src/txn/root_recovery.cpp (recover, repair), src/segment/undo_log.cpp, src/arena/arena.cpp (free
blocks), include/cairn/detail/txn/reading.hpp.

One root with at most one element, which lies in one of two blocks of two words. What is modelled:

  R         the root's lock
  ver       root_slot.version
  len, log  root_slot.log_head and the records (what, old); those beyond len do not count
  head      arena_header.loose_free; a free block's first word is the link to the next one
  w1 d1     the words of block 1: link or value, and value
  root, count   what readers look at: the element's block, and how many there are
  x, y      two words that single_store::overwrite() writes

`truth` is no memory: it is set with the commit, and whoever locks must find it.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

RULES = dict(
    record_before_count=True,   # a record is whole before it counts
    count_before_store=True,    # and counts before the word changes
    log_everything=True,        # no store to reachable memory without a record
    log_link=True,              # the link word of a block is logged when the block is taken
    take_before_free=True,      # what a transaction frees, it does not take again
    odd_before_store=True,      # the version is odd before the first store
    even_after_commit=True,
    commit_after_last_store=True,
    backwards=True,             # records go back newest first
    empty_log_after_replay=True,
    recovery_moves_version=True,
    reader_compares=True,       # the version again, after the copy
    reader_shuns_odd=True,
)


def whole(s):
    """What somebody who holds the lock, and has recovered, must find."""
    free, block = [], s["head"]
    while block:
        if block > 2 or block in free:
            return "the free list is damaged"
        free.append(block)
        block = s["w%d" % block]
    used = [s["root"]] if s["root"] else []
    if sorted(free + used) != [1, 2]:
        return "a block leaks, or is used twice"
    value = (s["w%d" % s["root"]], s["d%d" % s["root"]]) if s["root"] else (0, 0)
    if s["count"] != len(used) or value != (s["truth"],) * 2:
        return "neither before nor after"
    return None


def writer(kinds, **changed):
    """Does operations of these kinds, one after the other: insert or erase, replace, overwrite, look."""
    rules = {**RULES, **changed}
    steps = {}

    def then(label, action, following):
        def step(s, o, me):
            action(s, o)
            return following
        steps[label] = step

    # -- lock and recovery ------------------------------------------------------------------------------------------------
    steps["start"] = lambda s, o, me: acquire(s, o, me, "R", "entered", "recover")

    def odd(s):
        s["ver"] |= 1

    then("recover", lambda s, o: odd(s) if rules["recovery_moves_version"] else None,
         "replay" if rules["empty_log_after_replay"] else "empty log early")
    then("empty log early", lambda s, o: (o.update(i=s["len"]), s.update(len=0)), "replay some")

    def replay(s, o, me):
        o["i"] = s["len"]
        return "replay some"
    steps["replay"] = replay

    def replay_some(s, o, me):
        if o["i"] == 0:
            return "empty log"
        record = s["log"][o["i"] - 1 if rules["backwards"] else -o["i"]]
        o["i"] -= 1
        if record is None:
            raise Broken("a record counts that is not whole")
        s[record[0]] = record[1]
        return "replay some"
    steps["replay some"] = replay_some
    then("empty log", lambda s, o: s.update(len=0), "recovered")

    def recovered(s, o, me):
        if rules["recovery_moves_version"]:
            s["ver"] += s["ver"] % 2
        return "entered"
    steps["recovered"] = recovered

    def entered(s, o, me):
        problem = whole(s)
        if problem:
            raise Broken(problem)
        if s["ver"] % 2 and rules["even_after_commit"] and rules["odd_before_store"]:
            raise Broken("the version is odd, and nobody is writing")
        kind = kinds[len(kinds) - o["operations"]]
        if kind == "look" or (kind == "overwrite y" and s["x"] == s["y"]):  # y follows x
            return "unlock"
        if kind.startswith("overwrite"):
            return kind
        o["value"] = 10 * (me + 1) + o["operations"]
        o["old"] = s["root"]
        if kind == "replace" and s["root"]:
            return "replace begin"
        return "erase begin" if s["root"] else "insert begin"
    steps["entered"] = entered

    # -- building blocks -----------------------------------------------------------------------------------------------------
    def truncated(s):
        return s["log"][:s["len"]]

    def logged(label, key, following, store=None):
        """A record for the word `key(s, o)`, and the store if there is one."""
        if store is not None and not rules["log_everything"] and label.endswith("root"):
            then(label, lambda s, o: s.update({key(s, o): store(s, o)}), following)
            return
        record = lambda s, o: s.update(log=truncated(s) + ((key(s, o), s[key(s, o)]),))
        count = lambda s, o: s.update(len=s["len"] + 1)
        change = (lambda s, o: s.update({key(s, o): store(s, o)})) if store else (lambda s, o: None)
        if not rules["record_before_count"]:
            then(label, lambda s, o: s.update(log=truncated(s) + (None,), len=s["len"] + 1), label + " record")
            then(label + " record",
                 lambda s, o: s.update(log=s["log"][:s["len"] - 1] + ((key(s, o), s[key(s, o)]),)), label + " store")
            then(label + " store", change, following)
        elif not rules["count_before_store"]:
            then(label, record, label + " store")
            then(label + " store", change, label + " count")
            then(label + " count", count, following)
        else:
            then(label, record, label + " count")
            then(label + " count", count, label + " store")
            then(label + " store", change, following)

    def take(label, following):  # allocate(): link word logged, head moved, and then the bytes are the owner's
        then(label, lambda s, o: o.update(block=s["head"]), label + " link" if rules["log_link"] else label + " head")
        logged(label + " link", lambda s, o: "w%d" % o["block"], label + " head")
        logged(label + " head", lambda s, o: "head", label + " first", lambda s, o: s["w%d" % o["block"]])
        then(label + " first", lambda s, o: s.update({"w%d" % o["block"]: o["value"]}), label + " second")
        then(label + " second", lambda s, o: s.update({"d%d" % o["block"]: o["value"]}), following)

    def give(label, following):  # deallocate()
        logged(label, lambda s, o: "w%d" % o["old"], label + " head", lambda s, o: s["head"])
        logged(label + " head", lambda s, o: "head", following, lambda s, o: o["old"])

    def begin(label, following):
        if rules["odd_before_store"]:
            then(label, lambda s, o: odd(s), following)
        else:
            then(label, lambda s, o: None, following)

    def end(label, last_key, last_value, truth):
        """The last store, the commit, the version, the unlock."""
        commit = lambda s, o: s.update(len=0, truth=truth(o))
        even = lambda s, o: s.update(ver=s["ver"] + s["ver"] % 2)
        if not rules["odd_before_store"]:  # odd too late: only now
            then(label, lambda s, o: odd(s), label + " last")
            label = label + " last"
        if not rules["commit_after_last_store"]:
            then(label, commit, label + " late")
            then(label + " late", lambda s, o: s.update({last_key: last_value(s, o)}), label + " even")
            then(label + " even", even, "unlock")
            return
        logged(label, lambda s, o: last_key, label + " commit" if rules["even_after_commit"] else label + " even",
               last_value)
        then(label + " commit", commit, label + " even" if rules["even_after_commit"] else "unlock")
        then(label + " even", even, "unlock" if rules["even_after_commit"] else label + " commit")

    # -- operations ----------------------------------------------------------------------------------------------------------
    begin("insert begin", "insert take")
    take("insert take", "insert root")
    logged("insert root", lambda s, o: "root", "insert count", lambda s, o: o["block"])
    end("insert count", "count", lambda s, o: 1, lambda o: o["value"])

    begin("erase begin", "erase root")
    logged("erase root", lambda s, o: "root", "erase give", lambda s, o: 0)
    give("erase give", "erase count")
    end("erase count", "count", lambda s, o: 0, lambda o: 0)

    if rules["take_before_free"]:
        begin("replace begin", "replace take")
        take("replace take", "replace give")
        give("replace give", "replace root")
    else:
        begin("replace begin", "replace give")
        give("replace give", "replace take")
        take("replace take", "replace root")
    end("replace root", "root", lambda s, o: o["block"], lambda o: o["value"])

    # single_store::overwrite(): one word, then the version moves on, staying even
    for word in ("x", "y"):
        then("overwrite " + word, lambda s, o, word=word: s.update({word: s[word] + 1}), "overwritten")
    then("overwritten", lambda s, o: s.update(ver=s["ver"] + 2), "unlock")

    def unlock(s, o, me):
        release(s, o, me, "R")
        o.update(operations=o["operations"] - 1, block=0, old=0, value=0, i=0)
        return "start" if o["operations"] else END
    steps["unlock"] = unlock
    return steps, {"operations": len(kinds), "block": 0, "old": 0, "value": 0, "i": 0}


def reader(**changed):
    """quick_look, a copy, and the second look. What it does not accept it reads again, under the lock: not modelled."""
    rules = {**RULES, **changed}
    steps = {}

    def start(s, o, me):
        if s["ver"] % 2 and rules["reader_shuns_odd"]:
            return END
        o["ver"] = s["ver"]
        return "x"
    steps["start"] = start

    def copy(label, key, following):
        def step(s, o, me):
            o[label] = s[key(o)] if key(o) in s else 0
            return following
        steps[label] = step
    copy("x", lambda o: "x", "y")
    copy("y", lambda o: "y", "count")
    copy("count", lambda o: "count", "root")
    copy("root", lambda o: "root", "first")
    copy("first", lambda o: "w%d" % o["root"], "second")
    copy("second", lambda o: "d%d" % o["root"], "compare")

    def compare(s, o, me):
        if s["ver"] != o["ver"] and rules["reader_compares"]:
            return END
        if o["count"] != (o["root"] != 0) or o["first"] != o["second"] or (o["root"] and o["first"] < 10):
            raise Broken("a torn read is accepted")
        if o["root"] and o["first"] != s["truth"]:
            raise Broken("a read is accepted of what is not committed")
        if o["y"] > o["x"]:  # y is written after x
            raise Broken("a torn copy of two words is accepted")
        return END
    steps["compare"] = compare
    return steps, {"ver": 0, "x": 0, "y": 0, "count": 0, "root": 0, "first": 0, "second": 0}


def check(*operations, kills=2, readers=1, full=False, **rules):
    shared = {"R": 0, "ver": 0, "len": 0, "log": (), "head": 1, "w1": 2, "d1": 0, "w2": 0, "d2": 0, "root": 0,
              "count": 0, "x": 0, "y": 0, "truth": 0}
    if full:
        shared.update(head=2, w1=10, d1=10, root=1, count=1, truth=10)
    return explore(shared, [writer(kinds, **rules) for kinds in operations] + [reader(**rules)] * readers, kills,
                   final=lambda s, owns: "somebody waits for ever" if any(o["at"] not in (END, "dead") for o in owns)
                   else None)


def main():
    suite = Suite("undo")
    insert, erase, replace, look = ("insert",), ("erase",), ("replace",), ("look",)
    suite.expect("insert and erase, two who look, 2 kills", check(("insert", "erase"), look, look, readers=0))
    suite.expect("insert, replace, erase, two processes, 2 kills", check(("insert", "replace"), erase, look, readers=0))
    suite.expect("insert and erase, a reader, 1 kill", check(("insert", "erase"), look, kills=1))
    suite.expect("replace, somebody who looks, a reader, 1 kill", check(replace, look, kills=1, full=True))
    suite.expect("words overwritten, a reader, 2 kills", check(("overwrite x",), ("overwrite y",), look))

    flaw = "neither before nor after"
    suite.expect("a record that counts before it is whole",
                 check(insert, look, kills=1, readers=0, record_before_count=False), "not whole")
    suite.expect("a store before its record counts",
                 check(erase, look, kills=1, readers=0, full=True, count_before_store=False), "leaks")
    suite.expect("a store without a record",
                 check(insert, look, kills=1, readers=0, log_everything=False), "used twice")
    suite.expect("a block taken without a record of its link",
                 check(insert, look, kills=1, readers=0, log_link=False), "free list is damaged")
    suite.expect("a block taken in the transaction that freed it",
                 check(replace, look, kills=1, readers=0, full=True, take_before_free=False), flaw)
    suite.expect("the version odd after the first store",
                 check(erase, kills=0, full=True, odd_before_store=False), "torn read")
    suite.expect("the version even before the commit",
                 check(insert, kills=0, even_after_commit=False), "not committed")
    suite.expect("the commit before the last store",
                 check(insert, look, kills=1, readers=0, commit_after_last_store=False), flaw)
    suite.expect("records replayed from the oldest on",
                 check(replace, look, kills=1, readers=0, full=True, backwards=False), "leaks")
    suite.expect("the log emptied before the replay",
                 check(insert, look, look, kills=2, readers=0, empty_log_after_replay=False), "leaks")
    suite.expect("a recovery that leaves the version alone",
                 check(("overwrite x",), ("overwrite y",), kills=1, recovery_moves_version=False), "two words")
    suite.expect("a recovery that leaves the version odd",
                 check(insert, look, kills=1, readers=0, recovery_moves_version=False), "version is odd")
    suite.expect("a reader that does not compare the version",
                 check(replace, kills=0, full=True, reader_compares=False), "torn read")
    suite.expect("a reader that does not shun an odd version",
                 check(insert, kills=0, reader_shuns_odd=False), "torn read")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
