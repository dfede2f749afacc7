# SPDX-License-Identifier: BSL-1.0
"""A channel: two ends that take no lock. How each wakes the other, and how neither works in memory that has gone.

Waits. One end puts, the other takes; only the taker sleeps here, the putter would be the same the other way round.
  put, taken   indices of the ring
  flag         1: the taker may sleep; a waker clears it before it bumps the sequence, however long ago it saw it
  sequence     of the event count; a sleeper sleeps while it is what the sleeper has read
  sleeping     1: in the kernel
An end that was killed is replaced by the next process. A tick is followed only where a wake may have died with its waker.

Pins. Workers mark themselves in the control block before they look at version and generation, and then work in the ring's
memory. Whoever removes the object makes the version odd, and waits until the mark is gone or its thread is dead. A worker
with an old handle may be stopped anywhere, while memory and control block become a new channel's.
  holder       who works there: number + 1
  memory       whose it is: the generation that it belongs to
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

WAIT_RULES = dict(
    flag_after_push=True,       # the putter looks for the flag once its item is there (a full fence)
    look_after_flag=True,       # the taker looks at the ring again once its flag is there (a full fence)
    sequence_before_flag=True,  # the taker reads the sequence before its flag is there
    tick=True,                  # who sleeps looks again after a while
)

PIN_RULES = dict(
    mark_before_look=True,  # version and generation are looked at once the mark is there (a full fence)
    wait_for_mark=True,     # the remover waits for who is in
    clear_own_mark=True,    # only who has made the mark its own takes it away
    ask_for_the_dead=True,  # a mark whose thread is dead is nobody's
)


def has_killed(s):
    return len(s["gone"]) > s["ended"]


def finish(s):
    s["ended"] += 1
    return END


def putter(before, items, **changed):
    """Puts until there were `items`; once process `before` is gone, if it is to replace one."""
    rules = {**WAIT_RULES, **changed}
    steps = {}

    def start(s, o, me):
        if before is not None and before not in s["gone"]:
            return None
        if s["put"] == items:
            return finish(s)
        return "push" if rules["flag_after_push"] else "look"
    steps["start"] = start

    def push(s, o, me):
        s["put"] += 1
        return "look" if rules["flag_after_push"] else "clear"
    steps["push"] = push

    def look(s, o, me):
        o["flag"] = s["flag"]
        if not rules["flag_after_push"]:
            return "push"
        return "clear" if o["flag"] else "start"
    steps["look"] = look

    def clear(s, o, me):
        flag, o["flag"] = o["flag"], 0
        if flag == 0:
            return "start"
        s["flag"] = 0
        return "bump"
    steps["clear"] = clear

    def bump(s, o, me):
        s["sequence"] += 1
        return "wake"
    steps["bump"] = bump

    def wake(s, o, me):
        s["sleeping"] = 0
        return "start"
    steps["wake"] = wake
    return steps


def taker(before, items, **changed):
    rules = {**WAIT_RULES, **changed}
    steps = {}
    after_flag = "look" if rules["look_after_flag"] else "sleep"

    def start(s, o, me):
        if before is not None and before not in s["gone"]:
            return None
        if before is not None and not o["claimed"]:
            o["claimed"] = True  # it may have died asleep
            s.update(sleeping=0, flag=0)
        if s["taken"] == items:
            return finish(s)
        return "take"
    steps["start"] = start

    def take(s, o, me):
        if s["taken"] != s["put"]:
            s["taken"] += 1
            return "start"
        return "register" if rules["sequence_before_flag"] else "flag"
    steps["take"] = take

    def register(s, o, me):  # as who sleeps on a queue does, under the lock
        s["flag"] = 1
        return "read"
    steps["register"] = register

    def flag(s, o, me):
        s["flag"] = 1
        return after_flag if rules["sequence_before_flag"] else "read"
    steps["flag"] = flag

    def read(s, o, me):
        o["sequence"] = s["sequence"]
        return "flag" if rules["sequence_before_flag"] else after_flag
    steps["read"] = read

    def look(s, o, me):
        if s["taken"] != s["put"]:
            return "start"
        return "sleep"
    steps["look"] = look

    def sleep(s, o, me):
        if s["sequence"] != o["sequence"]:
            return "start"
        s["sleeping"] = 1
        return "asleep"
    steps["sleep"] = sleep

    def asleep(s, o, me):
        if s["sleeping"] == 0:
            return "start"
        if rules["tick"] and has_killed(s) and s["taken"] != s["put"]:
            s["sleeping"] = 0
            return "start"
        return None
    steps["asleep"] = asleep
    return steps


def waits_done(s, owns):
    if any(own["at"] == "asleep" for own in owns) and s["taken"] != s["put"]:
        return "somebody sleeps while an item is there"
    return None


def check_waits(items=3, kills=0, **rules):
    shared = {"put": 0, "taken": 0, "flag": 0, "sequence": 0, "sleeping": 0, "ended": 0, "gone": ()}
    of_putter = {"flag": 0}
    of_taker = {"sequence": 0, "claimed": False}
    processes = [(putter(None, items, **rules), of_putter), (taker(None, items, **rules), of_taker)]
    if kills:
        processes += [(putter(0, items, **rules), of_putter), (taker(1, items, **rules), of_taker)]
    return explore(shared, processes, kills, final=waits_done)


def worker(generation, times=1, **changed):
    """Has a handle of that generation, and is the owner of its end."""
    rules = {**PIN_RULES, **changed}
    steps = {}

    def start(s, o, me):
        if s["generation"] < generation:
            return None  # its channel is not there yet
        if o["times"] == 0:
            return END
        o["times"] -= 1
        return "mark" if rules["mark_before_look"] else "look"
    steps["start"] = start

    def mark(s, o, me):
        o["is_in"] = s["holder"] == 0
        if o["is_in"]:
            s["holder"] = me + 1
        if not rules["mark_before_look"]:
            return "work" if o["is_in"] else "leave"
        return "look"
    steps["mark"] = mark

    def look(s, o, me):
        is_open = s["version"] % 2 == 0 and s["generation"] == generation
        if not rules["mark_before_look"]:
            return "mark" if is_open else "lock"
        return "work" if o["is_in"] and is_open else "leave"
    steps["look"] = look

    def work(s, o, me):
        if s["memory"] != generation:
            raise Broken("somebody writes into memory that is something else's")
        o["worked"] = True
        return "leave"
    steps["work"] = work

    def leave(s, o, me):
        if o["is_in"] or not rules["clear_own_mark"]:
            s["holder"] = 0
        o["is_in"] = False
        worked, o["worked"] = o["worked"], False
        return "start" if worked else "lock"
    steps["leave"] = leave

    # Who did not get in asks the lock; whose object has gone learns it there.
    steps["lock"] = lambda s, o, me: acquire(s, o, me, "L", "ask", "ask")

    def ask(s, o, me):
        o["times"] = o["times"] + 1 if s["generation"] == generation else 0
        holder = s["holder"]
        if holder and rules["ask_for_the_dead"] and holder - 1 in s["gone"]:
            s["holder"] = 0
        return "unlock"
    steps["ask"] = ask

    def unlock(s, o, me):
        release(s, o, me, "L")
        return "start"
    steps["unlock"] = unlock
    return steps


def remover(generation, **changed):
    """Removes the channel of that generation; its memory, and its control block, are the next one's."""
    rules = {**PIN_RULES, **changed}
    steps = {}

    def start(s, o, me):
        if s["generation"] < generation:
            return None
        return acquire(s, o, me, "L", "odd", "odd")
    steps["start"] = start

    def odd(s, o, me):
        if s["generation"] != generation:
            return "unlock"
        s["version"] |= 1
        return "wait"
    steps["odd"] = odd

    def wait(s, o, me):
        holder = s["holder"]
        if holder == 0 or not rules["wait_for_mark"]:
            return "free"
        if rules["ask_for_the_dead"] and holder - 1 in s["gone"]:
            s["holder"] = 0
            return "free"
        return None
    steps["wait"] = wait

    def free(s, o, me):
        s["generation"] += 1
        s["memory"] = s["generation"]
        return "even"
    steps["free"] = free

    def even(s, o, me):
        s["version"] = (s["version"] | 1) + 1
        return "unlock"
    steps["even"] = even

    def unlock(s, o, me):
        release(s, o, me, "L")
        return END
    steps["unlock"] = unlock
    return steps


def pins_done(s, owns):
    if any(own["at"] not in (END, "dead", "start") for own in owns):
        return "somebody waits for ever"
    return None


def check_pins(kills=0, times=1, **rules):
    """A worker with a handle of the first channel, one of the second, and who removes the first and the second."""
    shared = {"L": 0, "version": 0, "generation": 1, "memory": 1, "holder": 0, "gone": ()}
    of_worker = {"is_in": False, "worked": False, "times": times}
    processes = [(worker(1, **rules), dict(of_worker)), (worker(2, **rules), dict(of_worker)),
                 (remover(1, **rules), {}), (remover(2, **rules), {})]
    return explore(shared, processes, kills, final=pins_done)


def main():
    suite = Suite("channel")
    suite.expect("four items", check_waits(4))
    suite.expect("three items, 1 kill", check_waits(3, 1))
    suite.expect("two items, 2 kills", check_waits(2, 2))
    suite.expect("two channels at one place", check_pins())
    suite.expect("two channels at one place, twice each", check_pins(times=2))
    suite.expect("two channels at one place, 1 kill", check_pins(1))

    suite.expect("a flag that is looked for before the item is there", check_waits(2, flag_after_push=False), "sleeps while")
    suite.expect("no look at the ring after the flag", check_waits(2, look_after_flag=False), "sleeps while")
    suite.expect("a sequence that is read after the flag", check_waits(4, sequence_before_flag=False), "sleeps while")
    suite.expect("without ticks", check_waits(2, 1, tick=False), "sleeps while")
    suite.expect("a look at the version before the mark", check_pins(mark_before_look=False), "something else's")
    suite.expect("a remover that does not wait", check_pins(wait_for_mark=False), "something else's")
    suite.expect("a mark that anybody takes away", check_pins(clear_own_mark=False), "something else's")
    suite.expect("marks of the dead that stay", check_pins(1, ask_for_the_dead=False), "for ever")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
