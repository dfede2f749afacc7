# SPDX-License-Identifier: BSL-1.0
"""A word that is changed without the lock, and in transactions: include/cairn/detail/containers/value_cell.hpp,
src/containers/value_cell.cpp, include/cairn/value.hpp (change).

  R        the root's lock
  cell     (value, control) of root_slot.cell: control counts changes by two, its last bit says that it is held
  ver      root_slot.version
  log      the old value, while the log has a record of it; else None
  gen      root_slot.generation: 1 while the value is there, 2 when another one is in its place
  done     processes whose change has been acknowledged

Each adds its own power of two, once, so that the value tells who is in it. A stop is an interleaving in which others go on.
"""
import sys

from checker import END, Suite, acquire, explore, release

RULES = dict(
    control_in_the_swap=True,  # both words are compared: else what looks alike is taken for the same
    counts_changes=True,       # `control` moves with each change
    held_by_transactions=True,  # a transaction holds the cell before it looks at it
    swaps_when_free=True,      # nobody changes a held cell without the lock
    looks_at_generation=True,  # after the look at the cell, before the swap
    grows_across_reuse=True,   # `control` is not begun anew by the next value in that place
)
HELD = 1


def writer(rules, bit):
    """Adds its bit by one swap; under the lock where the cell is held."""
    def look(shared, own, me):
        own["seen"] = shared["cell"]
        return "check"

    def check(shared, own, me):
        if rules["looks_at_generation"] and shared["gen"] != 1:
            return END
        if own["seen"][1] & HELD and rules["swaps_when_free"]:
            return "lock"
        return "swap"

    def swap(shared, own, me):
        value, control = own["seen"]
        same = shared["cell"] == own["seen"] if rules["control_in_the_swap"] else shared["cell"][0] == value
        if not same:
            return "start"
        shared["cell"] = (value | bit, shared["cell"][1] + (2 if rules["counts_changes"] else 0))
        return "acknowledged"

    def acknowledged(shared, own, me):
        shared["done"] |= bit
        return END

    def lock(shared, own, me):
        return acquire(shared, own, me, "R", "locked", "recover")

    def recover(shared, own, me):
        if shared["log"] is not None:
            shared["cell"] = (shared["log"], shared["cell"][1])
        return "forget"

    def forget(shared, own, me):
        shared["log"] = None
        shared["ver"] += shared["ver"] % 2
        return "locked"

    def locked(shared, own, me):
        if shared["gen"] != 1:
            release(shared, own, me, "R")
            return END
        value, control = shared["cell"]
        if not control & HELD:
            shared["cell"] = (value, control + 1)
            return "locked"
        shared["cell"] = (value | bit, control + 1)
        return "unlock"

    def unlock(shared, own, me):
        release(shared, own, me, "R")
        return "acknowledged"

    return {"start": look, "check": check, "swap": swap, "acknowledged": acknowledged, "lock": lock, "recover": recover,
            "forget": forget, "locked": locked, "unlock": unlock}


def transaction(rules, bit, throws):
    """Reads, and stores what it has read with its bit, in two steps; keeps it or takes it back."""
    def start(shared, own, me):
        return acquire(shared, own, me, "R", "hold", "recover")

    def hold(shared, own, me):
        if shared["gen"] != 1:
            release(shared, own, me, "R")
            return END
        value, control = shared["cell"]
        if rules["held_by_transactions"] and not control & HELD:
            shared["cell"] = (value, control + 1)
        return "read"

    def read(shared, own, me):
        own["read"] = shared["cell"][0]
        return "odd"

    def odd(shared, own, me):
        shared["ver"] |= 1
        return "log"

    def log(shared, own, me):
        shared["log"] = shared["cell"][0]
        return "store"

    def store(shared, own, me):
        shared["cell"] = (own["read"] | bit, shared["cell"][1])
        return "take back" if throws else "commit"

    def take_back(shared, own, me):
        shared["cell"] = (shared["log"], shared["cell"][1])
        return "commit"

    def commit(shared, own, me):
        shared["log"] = None
        return "even"

    def even(shared, own, me):
        shared["ver"] += 1
        return "unlock"

    def unlock(shared, own, me):
        release(shared, own, me, "R")
        if not throws:
            shared["done"] |= bit
        return END

    base = writer(rules, bit)

    def recovered(shared, own, me):
        base["forget"](shared, own, me)
        return "hold"

    return {"start": start, "hold": hold, "read": read, "odd": odd, "log": log, "store": store, "take back": take_back,
            "commit": commit, "even": even, "unlock": unlock, "recover": base["recover"], "forget": recovered}


def reader():
    """Looks twice, one after the other: what it has seen does not go again."""
    def version(following):
        def go(shared, own, me):
            if shared["ver"] % 2 or shared["gen"] != 1:
                return END if shared["gen"] != 1 else None
            own["ver"] = shared["ver"]
            return following
        return go

    def look(following):
        def go(shared, own, me):
            own["now"] = shared["cell"][0]
            return following
        return go

    def compare(at, key, following):
        def go(shared, own, me):
            if shared["ver"] != own["ver"]:
                return at
            if shared["gen"] != 1:
                return END
            own[key] = own["now"]
            return following
        return go

    return {"start": version("look"), "look": look("compare"), "compare": compare("start", "first", "again"),
            "again": version("look again"), "look again": look("compare again"), "compare again": compare("again", "second", END)}


def remover(rules):
    """Removes the value and makes another one in its place, which begins with 0."""
    def start(shared, own, me):
        return acquire(shared, own, me, "R", "remove", "recover")

    def remove(shared, own, me):
        own["value"] = shared["cell"][0]
        shared["gen"] = 2
        return "begin"

    def begin(shared, own, me):
        control = shared["cell"][1]
        shared["cell"] = (own["value"] if own["alike"] else 0, (control | HELD) + 1 if rules["grows_across_reuse"] else own["first"])
        shared["next"] = shared["cell"][0]
        return "unlock"

    def unlock(shared, own, me):
        release(shared, own, me, "R")
        return END

    base = writer(rules, 0)

    def recovered(shared, own, me):
        base["forget"](shared, own, me)
        return "remove"

    return {"start": start, "remove": remove, "begin": begin, "unlock": unlock, "recover": base["recover"], "forget": recovered}


def model(kinds, kills, **left_out):
    rules = {**RULES, **left_out}
    processes = []
    for number, kind in enumerate(kinds):
        bit = 1 << number
        if kind == "writer":
            processes.append((writer(rules, bit), dict(seen=(0, 0))))
        elif kind == "reader":
            processes.append((reader(), dict(ver=0, now=0, first=0, second=0)))
        elif kind == "remover":
            processes.append((remover(rules), dict(value=0, alike=True, first=0)))
        else:
            processes.append((transaction(rules, bit, kind == "throws"), dict(read=0)))
    shared = dict(R=0, cell=(0, 0), ver=0, log=None, gen=1, done=0, next=None)

    def committed(now):
        return now["log"] if now["log"] is not None else now["cell"][0]

    def invariant(now, owns):
        for kind, own in zip(kinds, owns):
            if kind == "reader" and own["at"] == END and own["first"] & ~own["second"]:
                return "what was seen is gone"
        if now["next"] is not None and committed(now) != now["next"]:
            return "the next value is changed by who means the one before"
        return None

    def final(now, owns):
        for kind, own in zip(kinds, owns):
            if own["at"] not in (END, "dead") and kind != "reader":
                return "waits for ever"
        if now["gen"] == 1 and now["done"] & ~committed(now):
            return "acknowledged, and lost"
        for number, kind in enumerate(kinds):
            if kind == "throws" and now["gen"] == 1 and committed(now) >> number & 1:
                return "taken back, and there"
        return None

    spared = tuple(number for number, kind in enumerate(kinds) if kind == "reader")
    return explore(shared, processes, kills, invariant, final, spared=spared)


def main():
    suite = Suite("cell")
    for kinds, kills in ((("writer", "writer", "writer"), 2), (("writer", "transaction", "writer"), 2),
                         (("writer", "throws", "writer"), 2), (("transaction", "throws", "writer"), 2),
                         (("writer", "transaction", "reader"), 1), (("writer", "throws", "reader"), 1),
                         (("writer", "remover", "writer"), 1), (("transaction", "remover", "writer"), 1)):
        suite.expect(f"{', '.join(kinds)}, {kills} kills", model(kinds, kills))
    suite.expect("transactions do not hold it", model(("writer", "transaction"), 0, held_by_transactions=False), "lost")
    suite.expect("... nor those that are taken back", model(("writer", "throws"), 0, held_by_transactions=False), "lost")
    suite.expect("a held cell is changed without the lock", model(("writer", "transaction"), 0, swaps_when_free=False), "lost")
    suite.expect("what looks alike is the same",
                 model(("writer", "remover"), 0, control_in_the_swap=False), "the next value is changed")
    suite.expect("changes are not counted", model(("writer", "writer", "remover"), 0, counts_changes=False, grows_across_reuse=False),
                 "the next value is changed")
    suite.expect("nobody looks whether it is still there", model(("remover", "writer"), 0, looks_at_generation=False),
                 "the next value is changed")
    suite.expect("control begins anew", model(("writer", "remover"), 0, grows_across_reuse=False), "the next value is changed")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
