# SPDX-License-Identifier: BSL-1.0
"""A condition: src/sync/condition.cpp. Waiters have tickets, and a notification says up to which ticket they may go.

  M         the user's mutex, and what it protects: `items`, which waiters wait for
  C         the lock of the condition's root; each change under it is one commit
  began     the next ticket; `released`: whoever has a smaller one is notified. Both only grow
  waiting   the records {process: ticket}: who waits, or is notified and has not come back yet
  given_up  somebody's time was up while C could not be had: a record may be that of one who has left
  gone      processes that are dead: asked for without the lock

A waiter keeps its record until it has M again. One that is killed before has not used its notification, which then goes to the
next: passed on by whoever finds the dead one, at a tick. A waiter whose time is up and who cannot have C says that it has given up: the
next notification is for everyone, since the one who has gone may be the one that it would have been for. A notifier that has looked for
such a mark before it publishes looks again after it: one of the two sees the other. Who comes back without the lock and is notified
leaves its record, too: it is released, so that nothing will be told to it any more.

Checked: nobody sleeps while there are items and nobody is on the way, once everything that was put was also told; `untold` counts what
was not, and who is back from its wait and has not looked yet. One notification is for one.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

RULES = dict(
    record_until_back=True,     # not only until it is notified
    registers_with_mutex=True,  # before M is free
    passes_on_of_dead=True,     # notifications of the dead go to the next
    looks_at_ticks=True,        # for the dead and for a mark, by those who sleep
    looks_before_leaving=True,  # whose time is up: whether it is notified by now
    marks_giving_up=True,       # where the lock cannot be had
    looks_after_publishing=True,
    in_order=True,              # the one who has waited longest first
)


def is_notified(s, o):
    return o["ticket"] < s["released"]


def forget(s, me):
    s["waiting"] = tuple((who, ticket) for who, ticket in s["waiting"] if who != me)


def next_released(s, rules):
    """Up to which ticket one more may go."""
    left = [ticket for _, ticket in s["waiting"] if ticket >= s["released"]]
    if not left:
        return s["began"]
    return (min(left) if rules["in_order"] else max(left)) + 1


def unlocking(steps, label, lock, following):
    def unlock(s, o, me):
        release(s, o, me, lock)
        return following(s, o) if callable(following) else following
    steps[label] = unlock


def waiter(rules, may_leave):
    steps = {}
    steps["start"] = lambda s, o, me: acquire(s, o, me, "M", "look", "look")

    def look(s, o, me):
        if o["ticket"] >= 0:  # back from a wait: what it was notified of is its own matter from now on
            s["untold"] -= 1
        if s["items"] > 0:
            s["items"] -= 1
            return "unlock at the end"
        return "lock to register" if rules["registers_with_mutex"] else "unlock to sleep"
    steps["look"] = look
    unlocking(steps, "unlock at the end", "M", "home")
    steps["home"] = lambda s, o, me: None  # it lives on

    steps["lock to register"] = lambda s, o, me: acquire(s, o, me, "C", "register", "register")

    def register(s, o, me):
        o["ticket"] = s["began"]
        s["waiting"] += ((me, s["began"]),)
        s["began"] += 1
        return "registered"
    steps["register"] = register
    unlocking(steps, "registered", "C", "unlock to sleep" if rules["registers_with_mutex"] else "asleep")
    unlocking(steps, "unlock to sleep", "M", "asleep" if rules["registers_with_mutex"] else "lock to register")

    def asleep(s, o, me):
        if is_notified(s, o):
            if not rules["record_until_back"]:
                forget(s, me)
            return "lock again"
        if rules["looks_at_ticks"]:
            if [who for who, _ in s["waiting"] if who in s["gone"]] or s["given_up"]:
                return "lock to sweep"
        if may_leave:
            return "lock again"
        return None
    steps["asleep"] = asleep

    # A tick at which there is something to do. Each dead one is one commit.
    steps["lock to sweep"] = lambda s, o, me: acquire(s, o, me, "C", "sweep", "sweep")

    def sweep(s, o, me):
        if s["given_up"]:
            s["released"] = s["began"]
            return "clear the mark"
        for who, ticket in s["waiting"]:
            if who in s["gone"]:
                forget(s, who)
                if ticket < s["released"] and rules["passes_on_of_dead"]:
                    s["released"] = next_released(s, rules)
                return "swept"
        return "swept"
    steps["sweep"] = sweep

    def clear_mark(s, o, me):
        s["given_up"] = False
        return "swept"
    steps["clear the mark"] = clear_mark
    unlocking(steps, "swept", "C", "asleep")

    # Notified, or its time is up. With its mutex, and the lock; or, where that cannot be had in time, with a mark.
    steps["lock again"] = lambda s, o, me: acquire(s, o, me, "M", "lock to come back", "lock to come back")

    def lock_to_come_back(s, o, me):
        if s["C"] != 0 and may_leave:
            if is_notified(s, o):
                s["untold"] += 1
                return "look"
            return "give up" if rules["marks_giving_up"] else "gave up"
        return acquire(s, o, me, "C", "come back", "come back")
    steps["lock to come back"] = lock_to_come_back

    def come_back(s, o, me):
        forget(s, me)
        if is_notified(s, o) and (rules["looks_before_leaving"] or not may_leave):
            s["untold"] += 1
            return "is back"
        return "is late"
    steps["come back"] = come_back
    unlocking(steps, "is back", "C", "look")
    unlocking(steps, "is late", "C", "unlock at the end")

    def give_up(s, o, me):
        s["given_up"] = True
        return "gave up"
    steps["give up"] = give_up

    def gave_up(s, o, me):
        if is_notified(s, o):
            s["untold"] += 1
            return "look"
        return "unlock at the end"
    steps["gave up"] = gave_up
    return steps


def notifier(rules, puts):
    """Puts an item and notifies one, `puts` times."""
    steps = {}
    steps["start"] = lambda s, o, me: acquire(s, o, me, "M", "put", "put")

    def put(s, o, me):
        s["items"] += 1
        s["untold"] += 1
        return "unlock"
    steps["put"] = put
    unlocking(steps, "unlock", "M", "lock to notify")
    steps["lock to notify"] = lambda s, o, me: acquire(s, o, me, "C", "choose", "choose")

    def choose(s, o, me):
        o["is for all"] = s["given_up"]
        o["up to"] = s["began"] if s["given_up"] else next_released(s, rules)
        return "publish"
    steps["choose"] = choose

    def publish(s, o, me):
        told = [who for who, ticket in s["waiting"] if s["released"] <= ticket < o["up to"]]
        if len(told) > 1 and not o["is for all"]:
            raise Broken("one notification for two")
        s["released"] = max(s["released"], o["up to"])
        s["untold"] -= 1
        was_for_all = o["is for all"]
        o.update({"up to": 0, "is for all": False})
        if was_for_all:
            return "clear the mark"
        return "look again" if rules["looks_after_publishing"] else "done"
    steps["publish"] = publish

    def look_again(s, o, me):
        if not s["given_up"]:
            return "done"
        s["released"] = s["began"]
        return "clear the mark"
    steps["look again"] = look_again

    def clear_mark(s, o, me):
        s["given_up"] = False
        return "done"
    steps["clear the mark"] = clear_mark

    def done(s, o):
        o["puts"] -= 1
        return "start" if o["puts"] else END
    unlocking(steps, "done", "C", done)
    return steps


def is_well(s, owns):
    if s["untold"] or not s["items"]:
        return None
    if any(o["at"] == "asleep" for o in owns):
        return "somebody sleeps while there are items"
    return None


def check(waiters=2, puts=1, kills=0, may_leave=0, **left_out):
    """The first `may_leave` waiters have a deadline."""
    rules = {**RULES, **left_out}
    shared = {"M": 0, "C": 0, "items": 0, "untold": 0, "began": 0, "released": 0, "waiting": (), "given_up": False, "gone": ()}
    processes = [(waiter(rules, i < may_leave), {"ticket": -1})
                 for i in range(waiters)]
    processes.append((notifier(rules, puts), {"up to": 0, "is for all": False, "puts": puts}))
    return explore(shared, processes, kills, final=is_well)


def main():
    suite = Suite("condition")
    suite.expect("2 waiters, 1 put, 2 kills", check(kills=2))
    suite.expect("2 waiters, 2 puts, 1 kill", check(puts=2, kills=1))
    suite.expect("3 waiters, 1 put, 1 kill", check(waiters=3, kills=1))
    suite.expect("2 waiters, one with a deadline, 1 put, 1 kill", check(may_leave=1, kills=1))
    suite.expect("2 waiters, one with a deadline, 2 puts", check(may_leave=1, puts=2))
    suite.expect("2 waiters, both with a deadline, 1 put", check(may_leave=2))

    sleeps = "sleeps while there are items"
    suite.expect("a record that ends with the notification", check(kills=1, record_until_back=False), sleeps)
    suite.expect("registering after the mutex is free", check(registers_with_mutex=False), sleeps)
    suite.expect("without passing on what the dead were told", check(kills=1, passes_on_of_dead=False), sleeps)
    suite.expect("without a look at ticks", check(kills=1, looks_at_ticks=False), sleeps)
    suite.expect("a deadline without a last look", check(may_leave=1, looks_before_leaving=False), sleeps)
    suite.expect("giving up without a mark", check(may_leave=1, marks_giving_up=False), sleeps)
    suite.expect("a notifier that does not look again for marks, nor who sleeps",
                 check(may_leave=1, looks_after_publishing=False, looks_at_ticks=False), sleeps)
    suite.expect("the newest first", check(in_order=False), "one notification for two")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
