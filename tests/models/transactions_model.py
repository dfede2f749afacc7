# SPDX-License-Identifier: BSL-1.0
"""Several operations as one, and those of them that fail alone: include/cairn/detail/containers/user_transaction.hpp,
src/txn/root_transaction.cpp (join, leave_joined, undo, roll_back_to, repair), src/arena/arena.cpp (deallocate).

One root with at most two elements, each of which lies in a block, and a page that may be its own. What undo_model.py and
extents_model.py check is one step here: a logged store (the record, its count, the store), and a commit of the segment's.

  R            the root's lock
  ver, log     root_slot.version, and the records (what, old) that count: log_head is their number
  head, wN, dN the first free block; of block N its link and its value
  first, end   the elements are those of the slots from `first` to `end`: head and tail of a queue, or size of a list
  s0 s1        their blocks
  kind         stored_operation.kind, of an operation in several steps
  own          page_entry.owner of the page: "", "R" the root, "O" somebody else
  page         a word in it
  link         whether the root's container reaches it
  ext, settled how many pages are in the root's chain: root_slot.extents, root_slot.settled
  pend         root_slot.pending_free
  rolling      root_slot.rolling_back
  rolled       root_slot.rolled_back_count
  full         1: the next step of an operation throws segment_full, and then it is 2

A transaction is a list of operations; one of them, whichever, may fail at whatever step it has come to, or the commit when
it frees. "(" and ")" are a transaction inside, and "!" is the end of one that throws. `truth` is no memory: it is set with
the commit, and whoever locks must find it.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

RULES = dict(
    log_reused_places=True,       # a slot beyond the end is logged: an earlier operation may have taken what was there
    defer_frees=True,             # what an operation frees is not handed out again before the commit
    free_before_commit=True,      # but is freed then, before it,
    log_frees=True,               # and logged
    forget_frees=True,            # unless the operation was undone
    savepoint_empties_no_log=True,
    settle_at_the_end=True,       # pages stay in doubt until the commit
    odd_to_the_end=True,          # the version
    own_savepoint=True,           # an operation that fails alone leaves what those before it did,
    own_extents=True,             # and their pages;
    own_beginning=True,           # it leaves nothing of its own, also if it has several steps, each with a commit,
    undo_without_records=True,    # or fails before it has logged anything
    marker_first=True,            # the log is not empty from the first operation on
    undo_before_shorten=True,     # old bytes first, then the log is shortened
    shorten_before_give_back=True,  # and then pages are given back
    count_what_is_undone=True,    # for early copies: of an operation alone,
    count_after_undoing=True,
    count_what_is_rolled_back=True,  # and of all
)


def elements(s):
    return tuple(s["d%d" % s["s%d" % i]] for i in range(s["first"], s["end"]))


def whole(s):
    """What somebody who holds the lock, and has recovered, must find."""
    free, block = [], s["head"]
    while block:
        if block in free:
            return "the free list is damaged"
        free.append(block)
        block = s["w%d" % block]
    used = [s["s%d" % i] for i in range(s["first"], s["end"])]
    if len(set(free + used)) != len(free + used):
        return "a block is used twice"
    if len(free + used) != 2:
        return "a block leaks"
    if s["kind"]:
        return "an operation is done by half"
    if s["link"] and s["own"] != "R":
        return "a page is linked that is not the root's"
    if not s["link"] and s["own"] == "R":
        return "a page leaks"
    if s["ext"] != s["link"] or s["settled"] != s["ext"] or s["pend"]:
        return "the chain of extents is damaged"
    if (elements(s), s["link"]) != s["truth"]:
        return "neither before nor after"
    if s["ver"] % 2:
        return "the version is odd, and nobody is writing"
    return None


def log(s, key):
    s["log"] += ((key, s[key]),)


def store(s, key, value):
    log(s, key)
    s[key] = value


def put_back(s, record):
    key, old = record
    if key == "page" and s["own"] != "R":
        raise Broken("old bytes are put into a page that is %s" % ("somebody else's" if s["own"] else "nobody's"))
    s[key] = old


def give_back(s):
    if s["ext"] != 1 or s["own"] != "R":
        raise Broken("a page is given back that is not the root's")
    s.update(ext=0, own="", settled=0)


# What each operation makes of the elements and the link, if there is room and anything to take.
EFFECTS = {
    "push": lambda items, link, value: (items + (value,), link),
    "pop": lambda items, link, value: (items[:-1], link),
    "get": lambda items, link, value: (items[1:], link),
    "swap": lambda items, link, value: (items[::-1], link),
    "grow": lambda items, link, value: (items, 1),
    "shrink": lambda items, link, value: (items, 0),
}


def user(operations=(), ending="commit", **changed):
    """A transaction of these operations, which commits or throws in the end; without any, somebody who looks."""
    rules = {**RULES, **changed}
    steps = {}

    def then(label, action, following):
        def step(s, o, me):
            return action(s, o) or following
        steps[label] = step

    # -- lock and recovery ---------------------------------------------------------------------------------------------
    steps["start"] = lambda s, o, me: acquire(s, o, me, "R", "entered", "recover")

    def recover(s, o):
        s["ver"] |= 1
        o["then"] = "entered"
    then("recover", recover, "repair")

    def repair(s, o):  # root_transaction::repair(), also of a transaction that throws
        if not s["log"]:
            return "in doubt"
        o["rest"] = () if s["rolling"] else s["log"]
        return "empty log" if s["rolling"] else None
    then("repair", repair, "replay")

    def undo_one(s, o):
        put_back(s, o["rest"][-1])
        o["rest"] = o["rest"][:-1]
    then("replay", lambda s, o: undo_one(s, o) or "replay" if o["rest"] else None, "replayed")
    then("replayed", lambda s, o: s.update(rolled=s["rolled"] + rules["count_what_is_rolled_back"]),
         "mark rolling back")
    then("mark rolling back", lambda s, o: s.update(rolling=1), "empty log")
    then("empty log", lambda s, o: s.update(log=()), "in doubt")

    def in_doubt(s, o):
        if s["rolling"] and s["ext"] != s["settled"]:
            give_back(s)
            return "in doubt"
        s["rolling"] = 0
    then("in doubt", in_doubt, "settle")
    then("settle", lambda s, o: s.update(settled=s["ext"]), "free pending")

    def free_pending(s, o):
        if s["pend"]:
            give_back(s)
            s["pend"] = 0
    then("free pending", free_pending, "even")

    def even(s, o):
        s["ver"] += s["ver"] % 2
        return o["then"]
    then("even", even, None)

    def unlock(s, o, me):
        release(s, o, me, "R")
        o.update(saves=(), freed=(), rest=(), mine=(), block=0, then="")
        return END
    steps["unlock"] = unlock

    def entered(s, o, me):
        problem = whole(s)
        if problem:
            raise Broken(problem)
        if not operations:
            return "unlock"
        o.update(mine=s["truth"], then="unlock")
        return "next"
    steps["entered"] = entered

    # -- joining: the version, a marker, and a savepoint --------------------------------------------------------------
    def savepoint(s, o):
        """(length of the log, pages, deferred frees, what should be there)"""
        return len(s["log"]), s["ext"], len(o["freed"]), o["mine"]

    def following(s, o):
        if o["at_operation"] == len(operations):
            if ending == "throw":
                return "repair"
            return "free" if rules["free_before_commit"] else "commit"
        s["ver"] |= 1
        if not s["log"] and rules["marker_first"]:
            log(s, "pend")
        kind = operations[o["at_operation"]]
        o["at_operation"] += 1
        if kind == "(":
            o["saves"] += (savepoint(s, o),)
            return "next"
        if kind == ")":
            o["saves"] = o["saves"][:-1]
            return "next"
        if kind == "!":
            return "undo"
        o["saves"] += (savepoint(s, o),)
        return kind
    then("next", following, None)

    # -- operations ----------------------------------------------------------------------------------------------------
    def part(label, action, after):
        """A step of an operation; it fails if there is no memory, or if it says so."""
        def step(s, o, me):
            if s["full"] == 1:
                s["full"] = 2
                return "undo"
            return action(s, o) or after
        steps[label] = step

    def free_later(s, o, what):
        o["freed"] += (what,)

    # push: a block, its value, its slot, and the end; the block is nobody's and the slot nothing before the last store
    def take(s, o):
        if not s["head"] or s["end"] == 2:
            return "undo"
        o["block"] = s["head"]
        store(s, "head", s["w%d" % o["block"]])
    part("push", take, "push value")
    part("push value", lambda s, o: s.update({"d%d" % o["block"]: o["number"] + o["at_operation"]}), "push slot")

    def slot(s, o):
        key = "s%d" % s["end"]
        if rules["log_reused_places"]:
            log(s, key)
        s[key] = o["block"]
    part("push slot", slot, "push end")
    part("push end", lambda s, o: store(s, "end", s["end"] + 1), "done")

    def remove(kind, key, by, index):
        def unlink(s, o):
            if s["first"] == s["end"]:
                return "undo"
            o["block"] = s["s%d" % index(s)]
            store(s, key, s[key] + by)
        part(kind, unlink, kind + " free")
        if rules["defer_frees"]:
            part(kind + " free", lambda s, o: free_later(s, o, o["block"]), "done")
        else:
            part(kind + " free", lambda s, o: store(s, "w%d" % o["block"], s["head"]), kind + " free head")
            part(kind + " free head", lambda s, o: store(s, "head", o["block"]), "done")
    remove("pop", "end", -1, lambda s: s["end"] - 1)
    remove("get", "first", 1, lambda s: s["first"])

    # swap: a stored operation, which alone would be committed by its first step, and carried to its end by whoever comes
    part("swap", lambda s, o: "undo" if (s["first"], s["end"]) != (0, 2) else store(s, "kind", 1), "swap saved")

    def saved(s, o):
        if not rules["own_beginning"]:
            o["saves"] = o["saves"][:-1] + (savepoint(s, o)[:3] + o["saves"][-1][3:],)
    part("swap saved", saved, "swap first")

    def swap_first(s, o):
        o["block"] = s["s0"]
        store(s, "s0", s["s1"])
    part("swap first", swap_first, "swap second")
    part("swap second", lambda s, o: store(s, "s1", o["block"]), "swap end")
    part("swap end", lambda s, o: store(s, "kind", 0), "done")

    # grow: a page, a logged store in it, and the link to it; shrink: the page is freed before anything is logged
    def take_page(s, o):
        if s["own"]:
            return "undo"
        if not s["log"]:
            log(s, "pend")
        s.update(own="R", ext=1)
    part("grow", take_page, "grow page")
    part("grow page", lambda s, o: store(s, "page", o["number"]), "grow link")
    part("grow link", lambda s, o: store(s, "link", 1), "done")
    part("shrink", lambda s, o: free_later(s, o, "page") if s["link"] else "undo", "shrink link")
    part("shrink link", lambda s, o: store(s, "link", 0), "done")

    # The operation's commit, which stores nothing; up to here it may fail.
    def done(s, o):
        o["mine"] = EFFECTS[operations[o["at_operation"] - 1]](*o["mine"], o["number"] + o["at_operation"])
        o.update(saves=o["saves"][:-1], block=0)
        if not rules["savepoint_empties_no_log"]:
            s["log"] = ()
        if not rules["settle_at_the_end"]:
            s["settled"] = s["ext"]
        if not rules["odd_to_the_end"]:
            s["ver"] += s["ver"] % 2
    part("done", done, "next")

    # -- roll_back_to() -------------------------------------------------------------------------------------------------
    def length(o):
        return o["saves"][-1][0] if rules["own_savepoint"] else 1

    def undo(s, o):
        o.update(rest=s["log"][length(o):], block=0)
        if not o["rest"] and not rules["undo_without_records"]:
            return "undone"
    order = ["put back", "count", "shorten", "give back"]
    if not rules["undo_before_shorten"]:
        order = ["shorten", "put back", "count", "give back"]
    if not rules["shorten_before_give_back"]:
        order = ["put back", "count", "give back", "shorten"]
    if not rules["count_after_undoing"]:
        order = ["count", "put back", "shorten", "give back"]
    after = dict(zip(order, order[1:] + ["undone"]))
    then("undo", undo, order[0])
    then("put back", lambda s, o: undo_one(s, o) or "put back" if o["rest"] else None, after["put back"])
    then("count", lambda s, o: s.update(rolled=s["rolled"] + rules["count_what_is_undone"]), after["count"])

    def shorten(s, o):
        s["log"] = s["log"][:length(o)]
        if rules["forget_frees"]:
            o["freed"] = o["freed"][:o["saves"][-1][2]]
    then("shorten", shorten, after["shorten"])

    def give_back_later_ones(s, o):
        if s["ext"] != (o["saves"][-1][1] if rules["own_extents"] else s["settled"]):
            give_back(s)
    then("give back", give_back_later_ones, after["give back"])
    then("undone", lambda s, o: o.update(mine=o["saves"][-1][3], saves=o["saves"][:-1]), "next")

    # -- the commit of all: first what was freed -------------------------------------------------------------------------
    are_logged = rules["log_frees"] and rules["free_before_commit"]
    freed_store = store if are_logged else lambda s, key, value: s.update({key: value})

    def free(s, o):
        if s["full"] == 1:
            s["full"] = 2
            return "repair"
        if not o["freed"]:
            return "commit" if rules["free_before_commit"] else "settle"
        if o["freed"][0] == "page":
            freed_store(s, "pend", 1)
            o["freed"] = o["freed"][1:]
            return "free"
        freed_store(s, "w%d" % o["freed"][0], s["head"])
    then("free", free, "free head")

    def free_head(s, o):
        freed_store(s, "head", o["freed"][0])
        o["freed"] = o["freed"][1:]
    then("free head", free_head, "free")
    then("commit", lambda s, o: s.update(log=(), truth=o["mine"]), "settle" if rules["free_before_commit"] else "free")
    return steps, {"number": 0, "at_operation": 0, "saves": (), "freed": (), "rest": (), "mine": (), "block": 0,
                   "then": ""}


def filler():
    """Takes the last memory, so that the next step of an operation fails; then there is some again."""
    return {"start": lambda s, o, me: s.update(full=1) or END}, {}


def stranger():
    """Takes the page if nobody has it, writes into it, and finds there what it wrote."""
    def take(s, o, me):
        if s["own"]:
            return END
        s["own"] = "O"
        return "write"

    def write(s, o, me):
        s["page"] = 7
        return "read"

    def read(s, o, me):
        if s["page"] != 7 or s["own"] != "O":
            raise Broken("a page of somebody else's is written to")
        s["own"] = ""
        return END
    return {"start": take, "write": write, "read": read}, {}


def reader():
    """quick_look, a copy, and the second look. What it does not accept it reads under the lock: not modelled."""
    keys = ("first", "end", "s0", "d0", "s1", "d1", "link")
    labels = ["copy " + key for key in keys] + ["compare"]

    def start(s, o, me):
        if s["ver"] % 2:
            return END
        o["ver"] = s["ver"]
        return labels[0]

    def copy(key, following):
        def step(s, o, me):
            o[key] = s["d%d" % o["s" + key[1]]] if key[0] == "d" else s[key]  # of the block that was seen in the slot
            return following
        return step

    def compare(s, o, me):
        if s["ver"] == o["ver"]:
            seen = tuple(o["d%d" % i] for i in range(o["first"], o["end"])), o["link"]
            if seen != s["truth"]:
                raise Broken("a read is accepted of what is not committed")
        return END
    copies = {label: copy(key, following) for label, key, following in zip(labels, keys, labels[1:])}
    return {"start": start, **copies, "compare": compare}, dict.fromkeys(("ver",) + keys, 0)


def early_reader(**changed):
    """Copies the next item before it takes the lock: include/cairn/detail/containers/early_copy.hpp."""
    steps, own = user(**changed)
    looks = {"start": ("rolled", "seen first"), "seen first": ("first", "seen end"), "seen end": ("end", "seen slot")}

    def look(key, following):
        def step(s, o, me):
            o["seen_" + key] = s[key]
            return following
        return step
    lock, entered = steps["start"], steps["entered"]
    steps.update({label: look(*what) for label, what in looks.items()})

    def slot(s, o, me):
        if o["seen_end"] <= o["seen_first"]:
            return END
        o["seen_slot"] = s["s%d" % o["seen_first"]]
        return "seen value"

    def value(s, o, me):
        o["seen_value"] = s["d%d" % o["seen_slot"]]
        return "lock"

    def take(s, o, me):
        if s["end"] > s["first"] and (s["first"], s["rolled"]) == (o["seen_first"], o["seen_rolled"]) \
                and o["seen_value"] != elements(s)[0]:
            raise Broken("an early copy is taken that is not the next item")
        return entered(s, o, me)
    steps.update({"seen slot": slot, "seen value": value, "lock": lock, "entered": take})
    return steps, {**own, **dict.fromkeys(("seen_rolled", "seen_first", "seen_end", "seen_slot", "seen_value"), 0)}


def check(*transactions, others=(), kills=1, items=1, link=0, **rules):
    shared = {"R": 0, "ver": 0, "log": (), "head": 1, "w1": 2, "d1": 0, "w2": 0, "d2": 0, "d0": 0, "first": 0, "end": 0,
              "s0": 0, "s1": 0, "kind": 0, "own": "R" if link else "", "page": 0, "link": link, "ext": link, "settled": link,
              "pend": 0, "rolling": 0, "rolled": 0, "full": 0}
    if items > 0:
        shared.update(head=2, w1=0, d1=1, s0=1, end=1)
    if items > 1:
        shared.update(head=0, d2=2, s1=2, end=2)
    shared["truth"] = elements(shared), link
    processes = [user(operations, ending, **rules) for *operations, ending in transactions]
    for number, (_, own) in enumerate(processes):
        own["number"] = 10 * (number + 1)
    processes += [{"look": user, "early": early_reader}[other](**rules) if other in ("look", "early") else
                  {"full": filler, "stranger": stranger, "read": reader}[other]() for other in others]
    return explore(shared, processes, kills,
                   final=lambda s, owns: "somebody waits for ever" if any(o["at"] not in (END, "dead") for o in owns)
                   else None)


def main():
    suite = Suite("transactions")
    pop_push, push_pop, push_push = ("pop", "push", "commit"), ("push", "pop", "commit"), ("push", "push", "commit")
    thrown, fails, strangers = ("pop", "push", "throw"), ("full", "look"), ("full", "stranger", "look")
    suite.expect("pop and push, one who looks twice, 2 kills", check(pop_push, others=("full", "look", "look"), kills=2))
    suite.expect("pop and push, thrown, another transaction, 1 kill",
                 check(thrown, push_pop, others=fails))
    suite.expect("grow, push, grow, a stranger, 2 kills",
                 check(("grow", "push", "grow", "commit"), others=strangers, kills=2))
    suite.expect("shrink and grow, a stranger, 2 kills",
                 check(("shrink", "grow", "push", "commit"), others=strangers, kills=2, link=1))
    suite.expect("grow and shrink, thrown, a stranger, 2 kills",
                 check(("grow", "shrink", "throw"), others=strangers, kills=2))
    suite.expect("a transaction inside that throws, 2 kills",
                 check(("push", "(", "pop", "grow", "!", "pop", "commit"), others=strangers, kills=2))
    suite.expect("a transaction inside, 2 kills",
                 check(("(", "pop", "(", "grow", ")", "!", "push", "commit"), others=strangers, kills=2))
    suite.expect("swap and pop, 2 kills", check(("swap", "pop", "commit"), others=fails, kills=2, items=2))
    suite.expect("pop and push, a reader, 1 kill", check(pop_push, others=("full", "read", "look")))
    suite.expect("push twice, an early copy, 1 kill", check(push_push, others=("full", "early"), items=0))
    suite.expect("get and push, an early copy, 1 kill", check(("get", "push", "commit"), others=("full", "early")))
    suite.expect("get and push, two transactions, an early copy",
                 check(("get", "push", "commit"), ("push", "get", "throw"), others=("full", "early"), kills=0))

    flaw = "neither before nor after"
    suite.expect("a slot that is used again without a record",
                 check(thrown, others=("look",), kills=0, log_reused_places=False), "used twice")
    suite.expect("a block that is handed out in the transaction that freed it",
                 check(thrown, others=("look",), kills=0, defer_frees=False), flaw)
    suite.expect("blocks freed after the commit",
                 check(("pop", "commit"), others=("look",), free_before_commit=False), "leaks")
    suite.expect("blocks freed without a record",
                 check(("pop", "commit"), others=("look",), log_frees=False), "used twice")
    suite.expect("a block freed by an operation that was undone",
                 check(("pop", "commit"), others=fails, kills=0, forget_frees=False), "used twice")
    suite.expect("a savepoint that empties the log",
                 check(("push", "push", "throw"), others=("look",), kills=0, items=0, savepoint_empties_no_log=False), flaw)
    suite.expect("a savepoint that settles pages",
                 check(("grow", "push", "commit"), others=("look",), settle_at_the_end=False), "a page leaks")
    suite.expect("the version even between two operations",
                 check(("push", "grow", "commit"), others=("read",), kills=0, odd_to_the_end=False), "not committed")
    suite.expect("an operation that fails alone and takes back those before it",
                 check(push_pop, others=fails, kills=0, own_savepoint=False), flaw)
    suite.expect("an operation that fails alone and gives back pages of those before it",
                 check(("grow", "pop", "commit"), others=fails, kills=0, own_extents=False), "linked that is not")
    suite.expect("an operation of several steps that is undone to the last of them",
                 check(("swap", "commit"), others=fails, kills=0, items=2, own_beginning=False), "by half")
    suite.expect("a page taken by an operation that fails before its first record",
                 check(("push", "grow", "commit"), others=fails, kills=0, undo_without_records=False), "a page leaks")
    suite.expect("a page freed by an operation that fails before its first record",
                 check(("push", "shrink", "commit"), others=fails, kills=0, link=1, undo_without_records=False),
                 "linked that is not")
    suite.expect("an empty log when the first operation begins",
                 check(("grow", "commit"), others=fails, marker_first=False), "a page leaks")
    suite.expect("a log that is shortened before it is replayed",
                 check(push_pop, others=fails, undo_before_shorten=False), flaw)
    suite.expect("pages given back before the log is shortened",
                 check(("grow", "commit"), others=strangers, shorten_before_give_back=False),
                 "somebody else's")
    suite.expect("an undone operation that early copies do not know of",
                 check(push_push, others=("full", "early"), kills=0, items=0, count_what_is_undone=False),
                 "not the next item")
    suite.expect("an undone operation that is counted before it is undone",
                 check(push_push, others=("full", "early"), kills=0, items=0, count_after_undoing=False),
                 "not the next item")
    suite.expect("a transaction that is rolled back, and early copies do not know of it",
                 check(("push", "throw"), ("push", "commit"), others=("early",), kills=0, items=0,
                       count_what_is_rolled_back=False), "not the next item")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
