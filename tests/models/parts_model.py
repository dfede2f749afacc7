# SPDX-License-Identifier: BSL-1.0
"""An object that is several roots comes and goes in one step: src/segment/directory.cpp, src/txn/removal.cpp.

Three control blocks X, Y, Z with a lock each, the segment's lock S. An object is one root with the name and two parts. What
is modelled, with the names of the code:

  name       the directory: the root that has the name; logged by the segment
  st_x       root_slot.state; gen_x its generation; of_x part_of; node_x the links to its parts
  free       segment_control.first_free_slot, pend pending_slot, bld building_slot: heads of chains by nf_x,
             root_slot.next_free_slot
  slog       the segment's log
  val_x      two words of a shard that belong together; log_x the root's log: the old words, or None

The rules under test: roots that are being built or erased are in the chain of pending ones; one commit of the segment makes
all of an object's roots live, one makes all of them `erasing` and pending, while their locks are held, which were taken in
the order of the slots; whoever gets the segment's lock finishes off what is pending, one commit for each root. Who makes an
object with long contents entrusts its roots to itself: they leave the pending ones for a chain of their own, by one commit,
while the lock of the object's first root is held; whoever gets the segment's lock makes those pending again whose lock is free
or a dead owner's: free when somebody with a stale handle has taken it after the death and given it back.
"""
import sys

from checker import DIED, END, Broken, Suite, acquire, explore, release

SLOTS = ("X", "Y", "Z")
PENDING = ("building", "erasing")


def segment_store(shared, **changes):
    """Logged stores of the segment: the log keeps what was there before, and the stores are made."""
    shared["slog"] = tuple((key, shared[key]) for key in changes) + shared["slog"]
    shared.update(changes)


def entrusted(shared):
    """The objects that are being made without the segment's lock: (what leads to its roots, the first of them, its whole)."""
    found, link = [], "bld"
    while shared[link]:
        first = root = shared[link]
        while shared["of_" + root]:
            root = shared["nf_" + root]
        found.append((link, first, root))
        link = "nf_" + root
    return found


def make_pending(shared, whole):
    for link, first, root in entrusted(shared):
        if root == whole:
            return segment_store(shared, **{"pend": first, link: shared["nf_" + root], "nf_" + root: ""})
    raise Broken("an object that is being made is not in its chain")


class Steps:
    """The steps of a program, and those that several of them have in common."""

    def __init__(self, chain=True, sweep=True, sweep_dead_only=True, sweep_free=True):
        self.all, self.chain = {}, chain
        self.sweep, self.sweep_dead_only, self.sweep_free = sweep, sweep_dead_only, sweep_free

    def __call__(self, name):
        def add(function):
            self.all[name] = function
            return function
        return add

    def commit(self, label, then):
        @self(label)
        def _(s, o, me):
            s["slog"] = ()
            return then

    def lock_segment(self, label, then):
        """A dead holder's log goes back, what is pending is finished."""
        self.all[label] = lambda s, o, me: acquire(s, o, me, "S", label + " pending", label + " undo")

        @self(label + " undo")
        def _(s, o, me):
            if not s["slog"]:
                return label + " pending"
            key, old = s["slog"][0]
            s[key] = old
            s["slog"] = s["slog"][1:]
            return label + " undo"

        self.finish_pending(label + " pending", label + " abandoned")

        @self(label + " abandoned")
        def _(s, o, me):
            for _, _, root in entrusted(s) if self.sweep else ():
                if s[root] in (0, DIED)[not self.sweep_free:] or not self.sweep_dead_only:
                    make_pending(s, root)
                    o["swept"] = root
                    return label + " swept commit"
            return then

        self.commit(label + " swept commit", label + " clean")

        @self(label + " clean")
        def _(s, o, me):
            if s[o["swept"]] == DIED:
                acquire(s, o, me, o["swept"], "", "")
                return label + " cleaned"
            return label + " pending"

        @self(label + " cleaned")
        def _(s, o, me):
            release(s, o, me, o["swept"])
            return label + " pending"

    def finish_pending(self, label, then):
        @self(label)
        def _(s, o, me):
            victim = s["pend"]
            if not victim:
                return then
            if s["st_" + victim] not in PENDING:
                raise Broken("a root that is not being made or removed is said to be")
            after = s["nf_" + victim] if self.chain else ""
            segment_store(s, **{"pend": after, "st_" + victim: "free", "nf_" + victim: s["free"], "free": victim})
            return label + " commit"

        self.commit(label + " commit", label)

    def unlock_segment(self, label, then):
        @self(label)
        def _(s, o, me):
            release(s, o, me, "S")
            return then

    def recover_root(self, label, then):
        """The lock of the root o["at_root"] was a dead owner's: the segment first, then the root's own log."""
        self.lock_segment(label, label + " replay")

        @self(label + " replay")
        def _(s, o, me):
            root = o["at_root"]
            if s["st_" + root] == "live" and s["log_" + root] is not None:
                s["val_" + root] = s["log_" + root]
            s["log_" + root] = None
            return label + " done"

        self.unlock_segment(label + " done", then)


def creator(one_commit=True, chain=True, entrust=False, with_lock=True, own_chain=True, **sweeping):
    step = Steps(chain, **sweeping)
    step.lock_segment("start", "look")

    @step("look")
    def _(s, o, me):
        return "done" if s["name"] else "take"

    @step("take")
    def _(s, o, me):
        slot = s["free"]
        if not slot:
            raise Broken("a control block is lost")
        o["roots"] += (slot,)
        segment_store(s, **{"free": s["nf_" + slot], "nf_" + slot: s["pend"], "pend": slot, "st_" + slot: "building"})
        return "take commit"

    step.commit("take commit", "reset")

    @step("reset")
    def _(s, o, me):
        slot, whole = o["roots"][-1], o["roots"][0]
        s["of_" + slot] = "" if slot == whole else whole
        s["val_" + slot], s["log_" + slot], s["node_" + slot] = (0, 0), None, ()
        if len(o["roots"]) < len(SLOTS):
            return "take"
        return "entrust" if entrust else "link"

    @step("entrust")
    def _(s, o, me):
        whole = o["roots"][0]
        if s[whole] not in (0, DIED):
            return "link"  # somebody has it with a stale handle: not waited for
        o["entrusted"] = True
        if with_lock:
            acquire(s, o, me, whole, "", "")
        return "hand over" if own_chain else "let go"

    @step("hand over")
    def _(s, o, me):
        segment_store(s, **{"nf_" + o["roots"][0]: s["bld"], "bld": s["pend"], "pend": ""})
        return "hand over commit"

    step.commit("hand over commit", "let go")
    step.unlock_segment("let go", "link")

    @step("link")
    def _(s, o, me):
        if any(s["st_" + root] != "building" for root in o["roots"]):
            raise Broken("what is being made is taken away")
        s["node_" + o["roots"][0]] = o["roots"][1:]
        return "again" if o["entrusted"] else "publish"

    step.lock_segment("again", "recall")

    @step("recall")
    def _(s, o, me):
        make_pending(s, o["roots"][0])
        return "recall commit"

    step.commit("recall commit", "recalled")
    step.all["recalled"] = lambda s, o, me: "late" if s["name"] else "publish"
    step.finish_pending("late", "done")

    @step("publish")
    def _(s, o, me):
        generation = s["last"] + 1
        changes = {"name": o["roots"][0], "last": generation, "pend": ""}
        for root in o["roots"] if one_commit else o["roots"][:1]:
            changes.update({"st_" + root: "live", "gen_" + root: generation})
        if not one_commit:
            changes["pend"] = s["pend"]
            changes["nf_" + o["roots"][1]] = ""
        segment_store(s, **changes)
        return "publish commit"

    step.commit("publish commit", "done" if one_commit else "publish parts")

    @step("publish parts")
    def _(s, o, me):
        changes = {"pend": ""}
        for root in o["roots"][1:]:
            changes.update({"st_" + root: "live", "gen_" + root: s["last"]})
        segment_store(s, **changes)
        return "parts commit"

    step.commit("parts commit", "done")
    step.unlock_segment("done", "leave")

    @step("leave")
    def _(s, o, me):
        for lock in o["locks"]:
            release(s, o, me, lock)
        return END
    return step.all


def remover(lock_parts=True, ordered=True, one_commit=True, chain=True, **sweeping):
    step = Steps(chain, **sweeping)
    step.lock_segment("start", "look")

    @step("look")
    def _(s, o, me):
        whole = s["name"]
        if not whole:
            return "nothing"
        o["gen"] = s["gen_" + whole]
        o["roots"] = (whole,) + s["node_" + whole]
        wanted = tuple(sorted(o["roots"], reverse=not ordered)) if lock_parts else (whole,)
        o["to_lock"] = wanted
        return "found"

    step.unlock_segment("nothing", END)
    step.unlock_segment("found", "next")

    @step("next")
    def _(s, o, me):
        if not o["to_lock"]:
            return "erase lock"
        o["at_root"] = o["to_lock"][0]
        went = acquire(s, o, me, o["at_root"], "entered", "recover")
        if went is not None:
            o["to_lock"] = o["to_lock"][1:]
        return went

    step.recover_root("recover", "entered")

    @step("entered")
    def _(s, o, me):
        root = o["at_root"]
        return "next" if s["st_" + root] == "live" and s["gen_" + root] == o["gen"] else "gone"

    def unlock_roots(label, then):
        @step(label)
        def _(s, o, me):
            if not o["locks"]:
                return then
            release(s, o, me, o["locks"][-1])
            return label

    unlock_roots("gone", "start")  # somebody else was faster; there may be a new one
    step.lock_segment("erase lock", "erase")

    @step("erase")
    def _(s, o, me):
        whole = o["roots"][0]
        if s["name"] != whole or s["gen_" + whole] != o["gen"]:
            raise Broken("an object is not in its directory")
        generation, pending, changes = s["last"] + 1, "", {"name": "", "last": s["last"] + 1}
        for root in o["roots"] if one_commit else o["roots"][:1]:
            changes.update({"st_" + root: "erasing", "gen_" + root: generation, "nf_" + root: pending})
            pending = root
        segment_store(s, pend=pending, **changes)
        return "erase commit"

    step.commit("erase commit", "finish" if one_commit else "erase parts")

    @step("erase parts")
    def _(s, o, me):
        pending, changes = s["pend"], {}
        for root in o["roots"][1:]:
            changes.update({"st_" + root: "erasing", "gen_" + root: s["last"], "nf_" + root: pending})
            pending = root
        segment_store(s, pend=pending, **changes)
        return "parts commit"

    step.commit("parts commit", "finish")
    step.finish_pending("finish", "erased")
    step.unlock_segment("erased", "leave")
    unlock_roots("leave", END)
    return step.all


def writer(root):
    """Changes both words of a shard by a handle that was made when the first object was there."""
    step = Steps()

    @step("start")
    def _(s, o, me):
        o["at_root"] = root
        return acquire(s, o, me, root, "entered", "recover")

    step.recover_root("recover", "entered")

    @step("entered")
    def _(s, o, me):
        return "log" if s["st_" + root] == "live" and s["gen_" + root] == o["gen"] else "leave"

    @step("log")
    def _(s, o, me):
        s["log_" + root] = s["val_" + root]
        return "first"

    def write(label, place, then):
        @step(label)
        def _(s, o, me):
            if s["st_" + root] != "live" or s["gen_" + root] != o["gen"]:
                raise Broken("a writer's root is gone while it has the lock")
            words = list(s["val_" + root])
            words[place] += 1
            s["val_" + root] = tuple(words)
            return then

    write("first", 0, "second")
    write("second", 1, "commit")

    @step("commit")
    def _(s, o, me):
        s["log_" + root] = None
        return "leave"

    @step("leave")
    def _(s, o, me):
        release(s, o, me, root)
        return END
    return step.all


def opener():
    step = Steps()
    step.lock_segment("start", "look")

    @step("look")
    def _(s, o, me):
        problem = object_problem(s)
        if problem:
            raise Broken(problem)
        return "done"

    step.unlock_segment("done", END)
    return step.all


def object_problem(s):
    whole = s["name"]
    if not whole:
        return None
    if s["st_" + whole] != "live" or len(s["node_" + whole]) != len(SLOTS) - 1:
        return "the directory leads to no object"
    for part in s["node_" + whole]:
        if s["st_" + part] != "live" or s["gen_" + part] != s["gen_" + whole] or s["of_" + part] != whole:
            return "half an object"
    return None


def whole(shared, owns):
    """When nobody can go on: what a process that came later would find."""
    if any(own["at"] not in (END, "dead") for own in owns):
        return "somebody waits for ever"
    s = dict(shared)
    for key, old in s["slog"] if s["S"] != 0 else ():
        s[key] = old
    chain = owns[0]["chain"]
    while s["bld"] and owns[0]["sweep"]:
        _, _, root = entrusted(s)[0]
        if s[root] not in (0, DIED)[not owns[0]["sweep_free"]:]:
            return "an object is being made for ever"
        make_pending(s, root)
        while s["pend"]:
            victim = s["pend"]
            s.update({"pend": s["nf_" + victim], "st_" + victim: "free", "nf_" + victim: s["free"], "free": victim})
    while s["pend"]:
        victim = s["pend"]
        if s["st_" + victim] not in PENDING:
            return "a root that is not being made or removed is said to be"
        after = s["nf_" + victim] if chain else ""
        s.update({"pend": after, "st_" + victim: "free", "nf_" + victim: s["free"], "free": victim})
    problem = object_problem(s)
    if problem:
        return problem
    free, at = [], s["free"]
    while at and len(free) <= len(SLOTS):
        free.append(at)
        at = s["nf_" + at]
    used = (s["name"],) + s["node_" + s["name"]] if s["name"] else ()
    if sorted(free + list(used)) != sorted(SLOTS):
        return "a control block is lost, or there twice"
    for root in used:
        words = s["val_" + root] if s["log_" + root] is None else s["log_" + root]
        if words[0] != words[1]:
            return "half a change"
    return None


def start(is_there):
    shared = {"S": 0, "slog": (), "pend": "", "bld": "", "free": "" if is_there else "X", "name": "X" if is_there else "", "last": 1}
    for slot, behind in zip(SLOTS, ("Y", "Z", "")):
        shared.update({slot: 0, "st_" + slot: "live" if is_there else "free", "gen_" + slot: 1,
                       "of_" + slot: "X" if is_there and slot != "X" else "", "node_" + slot: (), "nf_" + slot: behind,
                       "val_" + slot: (0, 0), "log_" + slot: None})
    if is_there:
        shared["node_X"] = ("Y", "Z")
        for slot in SLOTS:
            shared["nf_" + slot] = ""
    return shared


def check(programs, is_there=True, kills=2, chain=True, sweep=True, sweep_free=True):
    own = {"roots": (), "to_lock": (), "at_root": "", "gen": 1, "chain": chain, "sweep": sweep, "sweep_free": sweep_free,
           "entrusted": False, "swept": ""}
    return explore(start(is_there), [(program, dict(own)) for program in programs], kills, final=whole)


def main():
    suite = Suite("parts")
    suite.expect("create twice, open, 2 kills", check([creator(), creator(), opener()], is_there=False))
    suite.expect("remove, write to a shard, open, 2 kills", check([remover(), writer("Y"), opener()]))
    suite.expect("remove twice, open, 2 kills", check([remover(), remover(), opener()]))
    suite.expect("remove, create, write by a stale handle, 2 kills", check([remover(), creator(), writer("Z")]))
    suite.expect("create, remove, remove, 1 kill", check([creator(), remover(), remover()], is_there=False, kills=1))
    suite.expect("create in its own time, open, open, 2 kills", check([creator(entrust=True), opener(), opener()], is_there=False))
    suite.expect("remove, create in its own time, write by a stale handle, 1 kill",
                 check([remover(), creator(entrust=True), writer("Z")], kills=1))
    suite.expect("remove, create in its own time, write by a stale handle to its lock, 1 kill",
                 check([remover(), creator(entrust=True), writer("X")], kills=1))
    suite.expect("published root by root", check([creator(one_commit=False), opener()], is_there=False, kills=1), "half an object")
    suite.expect("removed root by root", check([remover(one_commit=False), creator()], kills=1), "control block is lost")
    suite.expect("without the locks of the parts", check([remover(lock_parts=False), writer("Y")], kills=0),
                 "root is gone while it has the lock")
    suite.expect("locked in another order by another", check([remover(), remover(ordered=False)], kills=0), "waits for ever")
    suite.expect("one pending root instead of a chain of them",
                 check([creator(chain=False), opener()], is_there=False, kills=1, chain=False), "control block is lost")
    suite.expect("what is being made is pending", check([creator(entrust=True, own_chain=False), opener()], is_there=False, kills=0),
                 "taken away")
    suite.expect("what is being made is not swept",
                 check([creator(entrust=True, sweep=False), creator(sweep=False)], is_there=False, kills=1, sweep=False),
                 "control block is lost")
    suite.expect("what is being made is swept from under the living",
                 check([creator(entrust=True), creator(sweep_dead_only=False)], is_there=False, kills=0), "taken away")
    suite.expect("what is being made is swept by the mark of a dead owner alone",
                 check([remover(sweep_free=False), creator(entrust=True, sweep_free=False), writer("X")], kills=1,
                       sweep_free=False), "made for ever")
    suite.expect("what is being made has no lock",
                 check([creator(entrust=True, with_lock=False), opener()], is_there=False, kills=0), "taken away")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
