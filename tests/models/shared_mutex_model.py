# SPDX-License-Identifier: BSL-1.0
"""A lock of readers and writers: src/sync/shared_mutex.cpp.

  G        the root's lock, which writers have from before they wait for readers until they have given back
  writer   0: none; 1: one is coming; 2: it is in. Written by the owner of G
  died     1: the last writer died inside, and nobody has written since
  in0, in1 what the readers' processes say in their own lines: 1, they are in
  data     1 while a writer is in the middle of its work
  held     1 once a writer has been inside

A kill is possible between any two steps. A writer finds out that a reader is dead by asking the kernel (shared["gone"]).
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

RULES = dict(
    says_before_it_looks=True,   # a reader says that it is in, and then looks for a writer
    comes_before_it_looks=True,  # a writer says that it is coming, and then looks for readers
    waits_for_readers=True,
    asks_for_the_dead=True,      # a writer does not wait for readers that are dead
    takes_back=True,             # a reader that finds a writer says that it is not in
    queues=True,                 # such a reader takes the lock, and does not just look again
    tells_a_death=True,          # who finds that a writer died inside writes it down
    tells_first=True,            # before `writer` is 0 again
    waits_as_coming=True,        # a writer that waits for readers is not in
)


def take_over(rules, shared):
    """Whoever gets G: what a dead writer has left. Two stores; returns whether there is another one to make."""
    if shared["writer"] == 2 and rules["tells_a_death"]:
        if not shared["held"]:
            raise Broken("a death is told of one who was never in")
        if rules["tells_first"] and not shared["died"]:
            shared["died"] = 1
            return True
        if not rules["tells_first"]:
            shared["writer"] = 0
            return "late"
    if shared["writer"]:
        shared["writer"] = 0
        return True
    return False


def look_at_data(shared):
    if shared["data"] and not shared["died"]:
        raise Broken("what a dead writer has left is not told")


def reader(rules, number):
    mine = f"in{number}"

    def start(shared, own, me):
        if rules["says_before_it_looks"]:
            shared[mine] = 1
            return "look"
        own["seen"] = shared["writer"]
        return "say"

    def say(shared, own, me):
        shared[mine] = 1
        return "read" if own["seen"] == 0 else "take back"

    def look(shared, own, me):
        return "read" if shared["writer"] == 0 else "take back"

    def take_back(shared, own, me):
        if rules["takes_back"]:
            shared[mine] = 0
        if not rules["queues"]:
            return "again"
        return "queue"

    def again(shared, own, me):
        return "start" if shared["writer"] == 0 else None

    def queue(shared, own, me):
        return acquire(shared, own, me, "G", "repair", "repair")

    def repair(shared, own, me):
        done = take_over(rules, shared)
        if done == "late":
            return "late"
        return "repair" if done else "be in"

    def late(shared, own, me):
        shared["died"] = 1
        return "be in"

    def be_in(shared, own, me):
        shared[mine] = 1
        return "give back"

    def give_back(shared, own, me):
        release(shared, own, me, "G")
        return "read"

    def read(shared, own, me):
        look_at_data(shared)
        return "go"

    def go(shared, own, me):
        shared[mine] = 0
        return END

    return {"start": start, "say": say, "look": look, "take back": take_back, "again": again, "queue": queue, "repair": repair,
            "late": late, "be in": be_in, "give back": give_back, "read": read, "go": go}


def writer(rules, readers):
    def start(shared, own, me):
        return acquire(shared, own, me, "G", "repair", "repair")

    def repair(shared, own, me):
        done = take_over(rules, shared)
        if done == "late":
            return "late"
        return "repair" if done else "come" if rules["comes_before_it_looks"] else "wait 0"

    def late(shared, own, me):
        shared["died"] = 1
        return "come"

    def come(shared, own, me):
        shared["writer"] = 1 if rules["waits_as_coming"] else 2
        return "wait 0" if rules["comes_before_it_looks"] else "be in"

    def wait_for(number, then):
        def wait(shared, own, me):
            is_dead = rules["asks_for_the_dead"] and number in shared["gone"]
            if shared[f"in{number}"] and not is_dead and rules["waits_for_readers"]:
                return None
            return then
        return wait

    def after_readers():
        return "be in" if rules["comes_before_it_looks"] else "come"

    def be_in(shared, own, me):
        shared["writer"], shared["held"] = 2, 1
        return "write"

    def write(shared, own, me):
        look_at_data(shared)
        shared["data"] = 1
        return "written"

    def written(shared, own, me):
        shared["data"] = 0
        return "clear"

    def clear(shared, own, me):
        shared["died"] = 0
        return "open"

    def open_(shared, own, me):
        shared["writer"] = 0
        return "give back"

    def give_back(shared, own, me):
        release(shared, own, me, "G")
        return END

    steps = {"start": start, "repair": repair, "late": late, "come": come, "be in": be_in, "write": write, "written": written,
             "clear": clear, "open": open_, "give back": give_back}
    for number in range(readers):
        then = f"wait {number + 1}" if number + 1 < readers else after_readers()
        steps[f"wait {number}"] = wait_for(number, then)
    return steps


def check(readers, writers, kills, **left_out):
    rules = {**RULES, **left_out}
    shared = dict(G=0, writer=0, died=0, data=0, held=0, gone=(), **{f"in{n}": 0 for n in range(readers)})
    processes = [(reader(rules, n), dict(seen=0)) for n in range(readers)]
    processes += [(writer(rules, readers), {}) for _ in range(writers)]

    def invariant(shared, owns):
        inside = [n for n in range(readers) if owns[n]["at"] in ("read", "go")]
        writing = [own for own in owns[readers:] if own["at"] in ("write", "written")]
        if len(writing) > 1 or (writing and inside):
            return "two are in that may not be together"
        return None

    def final(shared, owns):
        if any(own["at"] not in (END, "dead") for own in owns):
            return "somebody waits for ever"
        if shared["died"] and not shared["held"]:
            return "a death is told of one who was never in"
        return None

    return explore(shared, processes, kills, invariant, final)


suite = Suite("shared_mutex")
suite.expect("two readers, two writers, two kills", check(2, 2, 2))
suite.expect("a reader, three writers, two kills", check(1, 3, 2))
suite.expect("three readers, a writer, a kill", check(3, 1, 1))
for rule, flaw, scene in (
    ("says_before_it_looks", "two are in", (1, 1, 0)),
    ("comes_before_it_looks", "two are in", (1, 1, 0)),
    ("waits_for_readers", "two are in", (1, 1, 0)),
    ("asks_for_the_dead", "for ever", (1, 1, 1)),
    ("takes_back", "for ever", (1, 1, 0)),
    ("queues", "for ever", (1, 1, 1)),
    ("tells_a_death", "not told", (1, 1, 1)),
    ("tells_first", "not told", (2, 1, 2)),
    ("waits_as_coming", "never in", (1, 1, 1)),
):
    suite.expect(f"without {rule}", check(*scene, **{rule: False}), flaw)
sys.exit(suite.finish())
