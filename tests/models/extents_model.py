# SPDX-License-Identifier: BSL-1.0
"""Extents between a segment and its roots: src/segment/extents.cpp, directory.cpp, src/txn/root_recovery.cpp.

Two extents, two roots (Q, R), the segment's lock S. What is modelled, with the names of the code:

  own_e      page_entry.owner                       under S, logged by the segment
  ext_X      root_slot.extents, newest first        under X and S, logged by the segment
  set_X      root_slot.settled                      ext_X as of the last commit
  lnk_X      what the root's containers reach       under X, logged by the root
  pf_X       root_slot.pending_free                 under X, logged by the root; taken away under S, logged there
  log_X      the root's log: old (lnk, pf), or None
  rb_X       root_slot.rolling_back
  st_X       root_slot.state; gen_X its generation
  pend       segment_control.pending_slot

The rule under test: what is newer than `settled` in the chain is in doubt. With a log that is not empty, or rolling_back,
it goes back to the segment; with an empty log it was committed. Without searching the map for extents of the root.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

EXTENTS = ("e1", "e2")
ROOTS = ("Q", "R")


def without(chain, extent):
    return tuple(e for e in chain if e != extent)


def segment_store(shared, **changes):
    """Logged stores of the segment: the log keeps what was there before, and the stores are made."""
    shared["slog"] = tuple((key, shared[key]) for key in changes) + shared["slog"]
    shared.update(changes)


def give_back(shared, root, extent):
    if shared["own_" + extent] != root:
        raise Broken("an extent is given back by a root that does not own it")
    changes = {"own_" + extent: "", "ext_" + root: without(shared["ext_" + root], extent)}
    if shared["set_" + root] and shared["set_" + root][0] == extent:
        changes["set_" + root] = shared["set_" + root][1:]
    segment_store(shared, **changes)


def program(kind, root, marker=True, mark_rollback=True, segment_first=True, free_after_commit=True):
    """One operation on `root`; the flags leave out one rule each."""
    log, ext, settled = "log_" + root, "ext_" + root, "set_" + root
    lnk, pending, rolling = "lnk_" + root, "pf_" + root, "rb_" + root
    steps = {}

    def step(name):
        def add(function):
            steps[name] = function
            return function
        return add

    # -- the segment's lock: a dead holder's log goes back, its pending root is finished ------------------------------
    def lock_segment(prefix, then):
        steps[prefix] = lambda s, o, me: acquire(s, o, me, "S", prefix + " pending", prefix + " undo")

        @step(prefix + " undo")
        def _(s, o, me):
            if s["slog"]:
                key, old = s["slog"][0]
                s[key] = old
                s["slog"] = s["slog"][1:]
                return prefix + " undo"
            return prefix + " pending"

        finish_pending(prefix + " pending", then)

    def finish_pending(label, then):
        @step(label)
        def _(s, o, me):
            if not s["pend"]:
                return then
            victim = s["pend"]
            if s["ext_" + victim]:
                give_back(s, victim, s["ext_" + victim][0])
            else:
                segment_store(s, **{"st_" + victim: "free", "pend": ""})
            return label + " commit"

        @step(label + " commit")
        def _(s, o, me):
            s["slog"] = ()
            return label

    def unlock(label, lock, then):
        @step(label)
        def _(s, o, me):
            release(s, o, me, lock)
            return then

    # -- entering a root: recovery --------------------------------------------------------------------------------------
    steps["start"] = lambda s, o, me: acquire(s, o, me, root, "entered", "recover")

    @step("recover")
    def _(s, o, me):
        if s["st_" + root] != "live":
            s[log] = None
            return "entered"
        return "recover lock" if segment_first else "recover check"

    if not segment_first:  # takes the segment's lock only if the root's own words ask for it
        @step("recover check")
        def _(s, o, me):
            needed = s[log] is not None or s[rolling] or s[pending] or s[ext] != s[settled]
            return "recover lock" if needed else "entered"

    lock_segment("recover lock", "replay")

    @step("replay")
    def _(s, o, me):
        if s[log] is None:
            return "in doubt"
        if not s[rolling]:
            s[lnk], s[pending] = s[log]
        return "mark rolling back" if mark_rollback else "empty log"

    @step("mark rolling back")
    def _(s, o, me):
        s[rolling] = True
        return "empty log"

    @step("empty log")
    def _(s, o, me):
        s[log] = None
        return "in doubt"

    @step("in doubt")
    def _(s, o, me):
        if not s[rolling]:
            return "settle"
        if s[ext] != s[settled]:
            if not s[ext]:
                raise Broken("the chain does not lead to the settled extents any more")
            give_back(s, root, s[ext][0])
            return "in doubt commit"
        s[rolling] = False
        return "settle"

    @step("in doubt commit")
    def _(s, o, me):
        s["slog"] = ()
        return "in doubt"

    def settle(label, then):
        @step(label)
        def _(s, o, me):
            s[settled] = s[ext]
            return label + " free"

        @step(label + " free")
        def _(s, o, me):
            if not s[pending]:
                return then
            extent = s[pending][0]
            give_back(s, root, extent)
            segment_store(s, **{pending: s[pending][1:]})
            return label + " free commit"

        @step(label + " free commit")
        def _(s, o, me):
            s["slog"] = ()
            return label + " free"

    settle("settle", "recovered")
    unlock("recovered", "S", "entered")

    # -- the operation --------------------------------------------------------------------------------------------------
    @step("entered")
    def _(s, o, me):
        if s["st_" + root] != "live" or s["gen_" + root] != o["gen"]:
            return "leave"  # object_gone
        if kind == "grow":
            return "open log" if marker else "take lock"
        return "unlink" if kind == "shrink" else "erase lock"

    # grow: something in the log, then the segment's commit, then the link, then the commit
    @step("open log")
    def _(s, o, me):
        s[log] = (s[lnk], s[pending])
        return "take lock" if marker else "link"

    lock_segment("take lock", "take")

    @step("take")
    def _(s, o, me):
        free = [e for e in EXTENTS if s["own_" + e] == ""]
        if not free:
            o["extent"] = ""
            return "taken"
        o["extent"] = free[0]
        segment_store(s, **{"own_" + free[0]: root, ext: (free[0],) + s[ext]})
        return "take commit"

    @step("take commit")
    def _(s, o, me):
        s["slog"] = ()
        return "taken"

    unlock("taken", "S", "link" if marker else "open log")

    @step("link")
    def _(s, o, me):
        if o["extent"]:
            for other in ROOTS:
                if other != root and s["st_" + other] == "live" and s["log_" + other] is None \
                        and o["extent"] in s["lnk_" + other]:
                    raise Broken("an extent is linked in two roots")
            s[lnk] = (o["extent"],) + s[lnk]
        return "commit"

    @step("commit")
    def _(s, o, me):
        s[log] = None
        return "settle lock"

    lock_segment("settle lock", "settle now")
    settle("settle now", "settled")
    unlock("settled", "S", "leave")

    # shrink: unlinked and committed first, then given back, all before the root is unlocked
    @step("unlink")
    def _(s, o, me):
        if not s[lnk]:
            return "leave"
        s[log] = (s[lnk], s[pending])
        return "unlink store"

    @step("unlink store")
    def _(s, o, me):
        s[pending] = (s[lnk][0],) + s[pending]
        s[lnk] = s[lnk][1:]
        return "commit" if free_after_commit else "early lock"

    lock_segment("early lock", "early free")

    @step("early free")
    def _(s, o, me):
        give_back(s, root, s[pending][0])
        segment_store(s, **{pending: s[pending][1:]})
        return "early commit"

    @step("early commit")
    def _(s, o, me):
        s["slog"] = ()
        return "early unlock"

    unlock("early unlock", "S", "commit")

    # erase: one commit of the segment, then what any later holder of its lock would do
    lock_segment("erase lock", "erase")

    @step("erase")
    def _(s, o, me):
        segment_store(s, **{"st_" + root: "erasing", "gen_" + root: s["gen_" + root] + 1, "pend": root})
        return "erase commit"

    @step("erase commit")
    def _(s, o, me):
        s["slog"] = ()
        return "erase finish"

    finish_pending("erase finish", "erased")
    unlock("erased", "S", "leave")
    unlock("leave", root, END)

    # create: a new root in a free slot, under S alone; nothing is logged by the root
    if kind == "create":
        lock_segment("start", "reserve slot")

        @step("reserve slot")
        def _(s, o, me):
            if s["st_" + root] != "free":
                return "created"
            segment_store(s, **{"st_" + root: "building", "pend": root, ext: ()})
            return "reserve commit"

        @step("reserve commit")
        def _(s, o, me):
            s["slog"] = ()
            return "reset"

        @step("reset")
        def _(s, o, me):
            s[lnk], s[pending], s[settled], s[log], s[rolling] = (), (), (), None, False
            return "build"

        @step("build")
        def _(s, o, me):
            free = [e for e in EXTENTS if s["own_" + e] == ""]
            if not free:
                return "give up"
            segment_store(s, **{"own_" + free[0]: root, ext: (free[0],) + s[ext]})
            return "build commit"

        @step("build commit")
        def _(s, o, me):
            s["slog"] = ()
            s[lnk] = s[ext]
            return "publish"

        @step("publish")
        def _(s, o, me):
            s[settled] = s[ext]
            segment_store(s, **{"st_" + root: "live", "gen_" + root: s["gen_" + root] + 1, "pend": ""})
            return "publish commit"

        @step("publish commit")
        def _(s, o, me):
            s["slog"] = ()
            return "created"

        finish_pending("give up", "created")
        unlock("created", "S", END)
    return steps


def recovered(shared):
    """What a process that came later would make of it: the segment first, then each root whose owner died."""
    s = dict(shared)
    for key, old in s["slog"] if s["S"] != 0 else ():
        s[key] = old
    s["slog"] = ()
    if s["pend"]:
        victim = s["pend"]
        for extent in s["ext_" + victim]:
            s["own_" + extent] = ""
        s["ext_" + victim], s["st_" + victim], s["pend"] = (), "free", ""
    for root in ROOTS:
        if s[root] == 0 or s["st_" + root] != "live":
            continue
        if s["log_" + root] is not None:
            if not s["rb_" + root]:
                s["lnk_" + root], s["pf_" + root] = s["log_" + root]
            s["log_" + root], s["rb_" + root] = None, True
        if s["rb_" + root]:
            while s["ext_" + root] != s["set_" + root]:
                if not s["ext_" + root]:
                    raise Broken("the chain does not lead to the settled extents any more")
                give_back(s, root, s["ext_" + root][0])
        s["set_" + root] = s["ext_" + root]
        for extent in s["pf_" + root]:
            give_back(s, root, extent)
        s["pf_" + root] = ()
    return s


def whole(shared, owns):
    if any(own["at"] not in (END, "dead") for own in owns):
        return "somebody waits for ever"
    try:
        s = recovered(shared)
    except Broken as problem:
        return str(problem)
    for extent in EXTENTS:
        users = [r for r in ROOTS if s["st_" + r] == "live" and extent in s["lnk_" + r]]
        if len(users) > 1:
            return "an extent is linked in two roots"
        if users and s["own_" + extent] != users[0]:
            return "a linked extent is not its root's: it would be handed out again"
        if not users and s["own_" + extent]:
            return "a leaked extent: owned, and linked nowhere"
    return None


def start():
    shared = {"S": 0, "slog": (), "pend": "", "own_e1": "R", "own_e2": ""}
    for root in ROOTS:
        chain = ("e1",) if root == "R" else ()
        shared.update({root: 0, "ext_" + root: chain, "set_" + root: chain, "lnk_" + root: chain, "pf_" + root: (),
                       "log_" + root: None, "rb_" + root: False, "st_" + root: "live", "gen_" + root: 1})
    return shared


def check(operations, kills=2, **rules):
    processes = [(program(kind, root, **rules), {"gen": 1, "extent": ""}) for kind, root in operations]
    return explore(start(), processes, kills, final=whole)


def main():
    suite = Suite("extents")
    suite.expect("grow R, grow Q, 2 kills", check([("grow", "R"), ("grow", "Q")]))
    suite.expect("grow R twice, shrink R, 2 kills", check([("grow", "R"), ("grow", "R"), ("shrink", "R")]))
    suite.expect("shrink R, grow Q, grow R, 2 kills", check([("shrink", "R"), ("grow", "Q"), ("grow", "R")]))
    suite.expect("erase R, grow R by a stale handle, grow Q, 2 kills", check([("erase", "R"), ("grow", "R"), ("grow", "Q")]))
    suite.expect("erase R, create R, shrink R by a stale handle, 2 kills",
                 check([("erase", "R"), ("create", "R"), ("shrink", "R")]))
    suite.expect("erase R twice, create R, 2 kills", check([("erase", "R"), ("erase", "R"), ("create", "R")]))
    suite.expect("without a record before the extent is taken", check([("grow", "R")], 1, marker=False), "leaked extent")
    suite.expect("without the mark between replay and the empty log",
                 check([("grow", "R"), ("shrink", "R")], 2, mark_rollback=False), "leaked extent")
    suite.expect("recovery that takes the segment's lock only when the root's words ask for it",
                 check([("shrink", "R"), ("shrink", "R"), ("grow", "R")], 2, segment_first=False), "leaked extent")
    suite.expect("given back before the commit",
                 check([("shrink", "R"), ("grow", "Q")], 1, free_after_commit=False), "extent")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
