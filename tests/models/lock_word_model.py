# SPDX-License-Identifier: BSL-1.0
"""The word of a lock, where thread ids are used again: who may take a lock from a holder that is not there any more.

  word    (thread id, count): thread id 0 is free, DIED a dead owner's; the count grows with each acquisition
  holder  (participant, count): who took the lock with which count; the participant's number is never used again
  ids     which participant the thread id X is now; 0: nobody's
  ended   participants that have ended, or have become another program by exec
  owners  no memory: who is between taking and giving back. exec ends an ownership, too

A first process has the thread id X. It ends after its use of the lock, or is killed in the middle of it, or calls exec there:
then the kernel does not release the lock, whose word goes on to say X. A second process gets the id X once it is free. A
waiter asks whether the holder lives, and marks the lock as a dead owner's if not.
"""
import sys

from checker import DIED, END, Broken, Suite, explore

X, OTHER = 7, 8  # thread ids
FIRST, SECOND, WAITER = 1, 2, 3  # participants

RULES = dict(
    word_counts=True,             # the mark is a compare-and-swap of id and count, not of the id alone
    count_with_id=True,           # one store takes the lock and counts
    asks_for_participant=True,    # not just whether there is a thread of that id
    holder_is_stamped=True,       # with the count: what another acquisition has left says nothing
    unknown_is_alive=True,        # nothing said of this acquisition: ask for the thread
)


def enter(s, me):
    if s["owners"]:
        raise Broken("two owners")
    s["owners"] += (me,)


def leave(s, me):
    s["owners"] = tuple(o for o in s["owners"] if o != me)


def worker(rules, me, end, waits_for_id):
    """Takes the lock as thread X, says who it is, works, gives it back, ends."""
    def start(s, o, _):
        if waits_for_id:
            if s["ids"] != 0:
                return None
            s["ids"] = me
        return "take"

    def take(s, o, _):
        thread, count = s["word"]
        if thread not in (0, DIED):
            # A worker that never gets it is the waiter's business: it ends when nothing else can happen.
            return None
        s["word"] = (X, count + 1 if rules["count_with_id"] else count)
        enter(s, me)
        return "say" if rules["count_with_id"] else "count"

    def count(s, o, _):
        s["word"] = (s["word"][0], s["word"][1] + 1)
        return "say"

    def say(s, o, _):
        s["holder"] = (me, s["word"][1])
        return "work"

    def work(s, o, _):
        if end == "exec":
            # Another program from here on; X is free for others. The lock is as it was.
            leave(s, me)
            s["ended"] += (me,)
            s["ids"] = 0
            return END
        if end == "kill":
            # The kernel marks the lock before the id is free.
            leave(s, me)
            s["word"] = (DIED, s["word"][1])
            return "finish"
        return "unlock"

    def unlock(s, o, _):
        leave(s, me)
        s["word"] = (0, s["word"][1])
        return "finish"

    def finish(s, o, _):
        s["ended"] += (me,)
        s["ids"] = 0
        return END
    return dict(start=start, take=take, count=count, say=say, work=work, unlock=unlock, finish=finish)


def waiter(rules):
    def start(s, o, _):
        if s["word"][0] in (0, DIED):
            return "take"
        o["seen"] = s["word"]
        return "look"

    def look(s, o, _):
        o["holder"] = s["holder"]
        return "ask"

    def ask(s, o, _):
        thread, count = o["seen"]
        participant, stamp = o["holder"]
        if rules["asks_for_participant"] and participant != 0 and (stamp == count or not rules["holder_is_stamped"]):
            dead = participant in s["ended"]
        elif rules["asks_for_participant"] and not rules["unknown_is_alive"]:
            dead = True
        else:
            dead = thread == X and s["ids"] == 0
        return "mark" if dead else "start"

    def mark(s, o, _):
        same = s["word"] == o["seen"] if rules["word_counts"] else s["word"][0] == o["seen"][0]
        if same:
            s["word"] = (DIED, s["word"][1])
        return "start"

    def take(s, o, _):
        if s["word"][0] not in (0, DIED):
            return "start"
        s["word"] = (OTHER, s["word"][1] + 1)
        enter(s, WAITER)
        return "say"

    def say(s, o, _):
        s["holder"] = (WAITER, s["word"][1])
        return "unlock"

    def unlock(s, o, _):
        leave(s, WAITER)
        s["word"] = (0, s["word"][1])
        return END
    return dict(start=start, look=look, ask=ask, mark=mark, take=take, say=say, unlock=unlock)


def run(rules, end):
    shared = dict(word=(0, 0), holder=(0, 0), ids=FIRST, ended=(), owners=())
    processes = [
        (worker(rules, FIRST, end, False), {}),
        # Gets the id; works with the lock, or is somebody innocent who never lets the id go.
        (worker(rules, SECOND, "unlock", True), {}) if end != "exec" else (squatter(), {}),
        (waiter(rules), dict(seen=(0, 0), holder=(0, 0))),
    ]

    # A waiter asks again and again, so that waiting for ever is a circle rather than an end: where only it is left.
    def stuck(s, owns):
        if all(o["at"] == END for o in owns[:2]) and owns[2]["at"] == "start" and s["word"][0] not in (0, DIED):
            holder_is_gone = s["holder"][0] in s["ended"]
            thread_is_there = s["ids"] != 0
            if not rules["asks_for_participant"] and holder_is_gone and thread_is_there:
                return "the waiter waits for ever"
        return None
    return explore(shared, processes, 0, invariant=stuck)


def squatter():
    def start(s, o, _):
        if s["ids"] != 0:
            return None
        s["ids"] = SECOND
        return END
    return dict(start=start)


def main():
    suite = Suite("lock_word")
    for end, what in dict(unlock="ends", kill="is killed with the lock", exec="calls exec with the lock").items():
        suite.expect(f"the first holder {what}: all rules", run(RULES, end))
    for rule, end in dict(word_counts="unlock", count_with_id="unlock", holder_is_stamped="kill",
                          unknown_is_alive="unlock").items():
        suite.expect(f"without {rule}", run({**RULES, rule: False}, end), "two owners")
    suite.expect("without asks_for_participant", run({**RULES, "asks_for_participant": False}, "exec"), "waits for ever")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
