# SPDX-License-Identifier: BSL-1.0
"""Leases of a queue: an item that is taken, worked on, and acknowledged; by a process that may die meanwhile, or fork.

  Q       the root's lock; each change below is one transaction under it
  item    "free", "leased" or "gone"
  lease, holder   the record of the lease {lease id, participant number}; neither number is ever used twice
  gone    participants that are dead: asked for without the lock, as it costs a system call
  due     it is time for a sweep (queue_node.next_sweep): the first that sees it takes it, and may die before it sweeps
  serial  no memory: which taking of the item this is

A sweeper finds the queue empty, or sees at a tick that it is time; it looks for leases of the dead without the lock, and returns them under it, if the record is
still the one that it looked at. A forked child has a copy of its parent's guard, which is inert there.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

RULES = dict(
    compare_again=True,         # the record, under the lock, after liveness was looked up without it
    ack_compares_lease=True,    # the lease id, not just that there is a lease
    ack_compares_holder=True,
    lease_ids_are_fresh=True,   # never used twice
    guard_is_inert_in_child=True,
    sweep_comes_due_again=True,  # by the clock, not by who has swept
    sweep_at_ticks=True,        # who waits looks for leases of the dead at each tick, not only before it sleeps
    return_is_for_the_dead=True,  # and asks whether they are dead
)


def transaction(steps, label, change, following):
    """Lock, one commit, unlock; what a death undoes is the business of undo_model.py."""
    steps[label] = lambda s, o, me: acquire(s, o, me, "Q", label + " change", label + " change")

    def do(s, o, me):
        o["next"] = change(s, o, me) or following
        return label + " unlock"
    steps[label + " change"] = do

    def unlock(s, o, me):
        release(s, o, me, "Q")
        after = o["next"]
        o["next"] = ""
        return after
    steps[label + " unlock"] = unlock


def take(rules):
    def change(s, o, me):
        if s["item"] == "gone":
            return END
        if s["item"] != "free":
            return "empty"
        if rules["lease_ids_are_fresh"]:
            s["last"] += 1
        s.update(item="leased", lease=s["last"], holder=me, serial=s["serial"] + 1)
        s["workers"] += (me,)
        if [w for w in s["workers"] if w not in s["gone"] and w != me]:
            raise Broken("two living workers have one item")
        o["guard"] = (s["last"], s["serial"])
        return "ack again" if o["old"] else None
    return change


def ack(rules, which):
    def change(s, o, me):
        lease, serial = o[which]
        good = s["item"] == "leased"
        good = good and (not rules["ack_compares_lease"] or s["lease"] == lease)
        good = good and (not rules["ack_compares_holder"] or s["holder"] == me)
        if good:
            if s["holder"] != me or s["serial"] != serial:
                raise Broken("a lease is acknowledged that is somebody else's")
            s["item"] = "gone"
            s["workers"] = tuple(w for w in s["workers"] if w != me)
        o[which] = ()
    return change


def give(s, o, me):
    if s["item"] == "leased" and s["lease"] == o["guard"][0] and s["holder"] == me:
        s["item"] = "free"
    s["workers"] = tuple(w for w in s["workers"] if w != me)
    o.update(old=o["guard"], guard=())


def worker(**changed):
    """Takes, works, acknowledges. Or gives the item back first, takes again, and then some thread of it acknowledges by
    the first guard. Sweeps when there is no item."""
    rules = {**RULES, **changed}
    steps = {"start": lambda s, o, me: "take"}
    transaction(steps, "take", take(rules), "work")

    def work(s, o, me):
        if o["returns"]:
            o["returns"] -= 1
            return "release"
        return "ack"
    steps["work"] = work
    transaction(steps, "release", lambda s, o, me: give(s, o, me), "start")
    transaction(steps, "ack", ack(rules, "guard"), END)
    transaction(steps, "ack again", ack(rules, "old"), "work")

    def empty(s, o, me):  # without the lock
        if s["item"] != "leased":
            return "start"
        if s["holder"] in s["gone"] or not rules["return_is_for_the_dead"]:
            o["seen"] = (s["lease"], s["holder"])
            return "sweep"
        return "asleep"
    steps["empty"] = empty

    def asleep(s, o, me):
        if s["item"] != "leased":
            return "start"  # woken: an item, or the last one acknowledged
        if rules["sweep_at_ticks"] and s["holder"] in s["gone"]:  # the tick; others find nothing new and are not followed
            if s["due"]:
                s["due"] = False
                return "empty"
            if rules["sweep_comes_due_again"]:
                s["due"] = True
                return "asleep"
        return None
    steps["asleep"] = asleep

    def sweep(s, o, me):
        seen, o["seen"] = o["seen"], ()
        if s["item"] != "leased" or (rules["compare_again"] and (s["lease"], s["holder"]) != seen):
            return "start"
        if s["holder"] not in s["gone"]:
            raise Broken("a living holder loses its lease")
        s["item"] = "free"
        return "start"
    transaction(steps, "sweep", sweep, "start")
    return steps


def child(**changed):
    """Forked by process 0 while it works: its copy of the guard is destroyed when it ends. It also tries to
    acknowledge what it has only heard of."""
    rules = {**RULES, **changed}
    steps = {}

    def start(s, o, me):
        if 0 in s["gone"] and s["forked"] == 0:
            return END  # never born
        if s["forked"] == 0:
            if s["item"] != "leased" or s["holder"] != 0:
                return None if s["item"] != "gone" else END
            s["forked"] = s["lease"]  # the instant of the fork, at any time while process 0 has the item
        o["guard"] = (s["forked"], s["serial"])
        return "ack" if rules["guard_is_inert_in_child"] else "release"
    steps["start"] = start

    def change(s, o, me):
        if s["item"] == "leased" and s["lease"] == o["guard"][0]:
            if 0 in s["workers"] and 0 not in s["gone"]:
                raise Broken("a child gives away the item that its parent works on")
            s["item"] = "free"
        return None
    transaction(steps, "release", change, END)
    transaction(steps, "ack", ack(rules, "guard"), END)
    return steps


def done(s, owns):
    """Nobody can step. Whoever still sleeps must have nothing to sleep for but a living worker."""
    if any(own["at"] not in (END, "dead") for own in owns):
        return "somebody sleeps while an item is there, or its worker is dead"
    return None


def check(workers=3, kills=2, forks=False, returns=0, **rules):
    shared = {"Q": 0, "item": "free", "lease": 0, "holder": -1, "last": 0, "serial": 0, "workers": (), "gone": (), "forked": 0,
              "due": True}
    own = {"guard": (), "old": (), "seen": (), "next": "", "returns": 0}
    processes = [(worker(**rules), {**own, "returns": returns if me == 0 else 0}) for me in range(workers)]
    if forks:
        processes.append((child(**rules), {"guard": (), "next": ""}))
    return explore(shared, processes, kills, final=done)


def main():
    suite = Suite("leases")
    suite.expect("three workers, 2 kills", check())
    suite.expect("two workers, one gives the item back first, 2 kills", check(2, returns=1))
    suite.expect("three workers, one gives the item back first, 1 kill", check(3, 1, returns=1))
    suite.expect("two workers, one forks while it works, 2 kills", check(2, forks=True))

    suite.expect("without a second look at the record", check(3, 1, compare_again=False), "a living holder loses")
    suite.expect("a return that does not ask whether the holder is dead",
                 check(2, 0, return_is_for_the_dead=False), "a living holder loses")
    suite.expect("a child whose copy of the guard gives the item back",
                 check(2, 0, forks=True, guard_is_inert_in_child=False), "a child gives away")
    suite.expect("an acknowledgement that does not compare the lease",
                 check(2, 0, returns=1, ack_compares_lease=False), "somebody else's")
    suite.expect("lease numbers that are used twice",
                 check(2, 0, returns=1, lease_ids_are_fresh=False), "somebody else's")
    suite.expect("an acknowledgement that does not compare the holder",
                 check(2, 0, forks=True, ack_compares_holder=False), "somebody else's")
    suite.expect("without a sweep at ticks", check(2, 1, sweep_at_ticks=False), "its worker is dead")
    suite.expect("a sweep that comes due again when it is through", check(3, 2, sweep_comes_due_again=False), "its worker is dead")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
