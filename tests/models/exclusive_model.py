# SPDX-License-Identifier: BSL-1.0
"""Exclusive periodics: src/periodic/exclusive_claim.cpp, and what periodic_claims.cpp and periodic_runs.cpp do with a callable that has one.

Processes have a callable that is due at each instant of a clock. A thread of each waits for the lock, and keeps it until its worker is
stopped; only where it has it the callable runs. The word beside the lock says from when the next run is counted: it is stored
after the lock was taken and before the callable is called. The clock goes on when nobody has anything left to do.

Checked: never two runs at once; an instant is never run twice; while a process is left, each instant is run, but for those whose process
was killed after it had said so.
"""
import sys

from checker import END, Suite, acquire, explore, release

RULES = dict(
    keeps_the_lock=True,      # from run to run, and until the last one has ended
    says_first=True,          # the word is stored before the callable is called
    counts_from_word=True,    # whoever takes over goes on from it
    runs_in_process=True,     # a run ends with the process that has the lock
)


def model(processes, instants, kills, lasts=0, stops=False, **left_out):
    rules = {**RULES, **left_out}

    def take(shared, own, me):
        return acquire(shared, own, me, "lock", "plan", "plan")

    def plan(shared, own, me):
        own["next"] = (shared["word"] if rules["counts_from_word"] else shared["now"]) + 1
        return "wait"

    def wait(shared, own, me):
        if own["next"] > instants or (stops and me == 0 and shared["now"] == 1):
            return "give back"
        if own["next"] > shared["now"]:
            return None
        return "say" if rules["says_first"] else "enter"

    def say(shared, own, me):
        shared["word"] = own["next"]
        shared["said"] += (own["next"],)
        return "enter" if rules["says_first"] else "after"

    def enter(shared, own, me):
        shared["entered"] += (own["next"],)
        own["until"] = shared["now"] + lasts
        if not rules["runs_in_process"]:
            shared["orders"] += (me,)
            return "ordered"
        if not rules["keeps_the_lock"]:
            release(shared, own, me, "lock")
        return "inside"

    def ordered(shared, own, me):  # a process of an executor runs it
        return None if me in shared["orders"] else "after"

    def inside(shared, own, me):
        if shared["now"] < own["until"]:
            return None
        if not rules["says_first"]:
            return "say"
        return "after" if rules["keeps_the_lock"] else "start"

    def after(shared, own, me):
        own["next"] += 1
        return "wait"

    def give_back(shared, own, me):
        release(shared, own, me, "lock")
        return END

    program = {"start": take, "plan": plan, "wait": wait, "say": say, "enter": enter, "ordered": ordered, "inside": inside,
               "after": after, "give back": give_back}

    # A process that runs what another one has ordered, and ends when it finds that one gone.
    def helper(of):
        def idle(shared, own, me):
            if of in shared["gone"]:
                return END
            if of not in shared["orders"]:
                return None
            own["until"] = shared["now"] + lasts
            return "inside"

        def done(shared, own, me):
            if shared["now"] < own["until"]:
                return None
            shared["orders"] = tuple(each for each in shared["orders"] if each != of)
            return "start"

        return {"start": idle, "inside": done}

    def advance(shared, own, me):
        shared["now"] += 1
        return "still"

    def still(shared, own, me):
        return None

    clock = {"start": still, "still": still, "advance": advance}

    all_processes = [(program, {"next": 0, "until": 0}) for _ in range(processes)]
    helpers = () if rules["runs_in_process"] else tuple(range(processes, 2 * processes))
    all_processes += [(helper(each - processes), {"until": 0}) for each in helpers]
    all_processes.append((clock, {}))
    the_clock = len(all_processes) - 1
    shared = dict(lock=0, word=0, now=0, said=(), entered=(), orders=(), gone=())

    def invariant(now, owns):
        if sum(own["at"] == "inside" for own in owns) > 1:
            return "two runs at once"
        if len(set(now["entered"])) != len(now["entered"]):
            return "an instant is run twice"
        return None

    def tick(now, owns):
        return [(the_clock, "advance")] if now["now"] < instants + lasts else []

    def final(now, owns):
        if all(own["at"] == "dead" for own in owns[:processes]):
            return None
        missing = set(range(1, instants + 1)) - set(now["said"])
        return f"an instant is lost: {sorted(missing)}" if missing else None

    return explore(shared, all_processes, kills, invariant, final, spared=helpers + (the_clock,), tick=tick)


def main():
    suite = Suite("exclusive")
    for processes, instants, kills, lasts in ((2, 3, 0, 0), (2, 3, 1, 0), (2, 3, 2, 1), (3, 3, 2, 0), (3, 3, 2, 1)):
        suite.expect(f"{processes} processes, {instants} instants, {kills} kills, runs of {lasts}",
                     model(processes, instants, kills, lasts))
    suite.expect("the one that has the lock is stopped", model(3, 3, 1, 1, stops=True))
    suite.expect("the lock given back for each run", model(2, 2, 0, 1, keeps_the_lock=False), "two runs at once")
    suite.expect("said when the run has ended", model(2, 2, 1, says_first=False), "an instant is run twice")
    suite.expect("counted from the take-over", model(2, 2, 1, counts_from_word=False), "an instant is lost")
    suite.expect("runs by processes of an executor", model(2, 2, 1, 1, runs_in_process=False), "two runs at once")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
