# SPDX-License-Identifier: BSL-1.0
"""A barrier: src/sync/barrier.cpp. Rounds have numbers; one that is over has passed or failed.

  L          the lock of the barrier's root; each change under it is one commit
  round      the one that fills; `arrived`: how many have come to it
  failed     the last round that has failed, and `failed_before` the one before that: what a late waiter tells its own round's end by
  broken     nobody gets in until a reset
  members    who has taken part since the last reset
  mark       a round that somebody has left whose time was up while L could not be had
  gone       processes that are dead: asked for without the lock
  ends       no memory: (round, whether it has passed); `left`: the round that somebody has gone away from

Who waits looks at each tick for members that have died and for a mark, and fails the round. One whose time is up fails it as well.

Checked: nobody waits for ever for one who has died or gone away; a round passes only when all have come; who has waited for a round is
told how that one ended, whatever has happened since (but for two resets later, when it is told that it failed).
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

RULES = dict(
    looks_for_dead=True,
    remembers_members=True,    # of earlier rounds, too
    failing_ends_round=True,   # so that who waits for it sees that
    looks_before_leaving=True,  # whether the round is over by now
    marks_giving_up=True,
    looks_for_marks=True,
    knows_failed_before=True,
    reset_fails_waiting=True,
)


def end_round(s, passed):
    s["ends"] += ((s["round"], passed),)
    if not passed:
        s["failed_before"], s["failed"] = s["failed"], s["round"]
    s["round"] += 1
    s["arrived"] = 0


def fail(s, rules):
    if s["broken"]:
        return
    if rules["failing_ends_round"]:
        end_round(s, False)
    s["broken"] = True


def has_passed(s, mine, rules):
    if mine > s["failed"]:
        return True
    if mine == s["failed"]:
        return False
    return mine > s["failed_before"] if rules["knows_failed_before"] else True


def unlocking(steps, label, following):
    def unlock(s, o, me):
        release(s, o, me, "L")
        return following(o) if callable(following) else following
    steps[label] = unlock


def party(rules, parties, may_leave):
    steps = {}
    steps["start"] = lambda s, o, me: acquire(s, o, me, "L", "arrive", "arrive")

    def arrive(s, o, me):
        if s["mark"] == s["round"] and rules["looks_for_marks"]:
            fail(s, rules)
        if s["broken"]:
            return "unlock for good"
        if me not in s["members"]:
            s["members"] += (me,)
        o["mine"] = s["round"]
        s["arrived"] += 1
        if s["arrived"] < parties:
            return "unlock to wait"
        if s["left"] == s["round"]:
            raise Broken("a round passes that somebody has left")
        end_round(s, True)
        if not rules["remembers_members"]:
            s["members"] = ()
        return "unlock after it"
    steps["arrive"] = arrive
    unlocking(steps, "unlock for good", "home")
    unlocking(steps, "unlock to wait", "asleep")
    unlocking(steps, "unlock after it", "told")
    steps["home"] = lambda s, o, me: None  # it lives on

    def asleep(s, o, me):
        if s["round"] != o["mine"]:
            return "told"
        if rules["looks_for_dead"] and [who for who in s["members"] if who in s["gone"]]:
            return "lock to break"
        if rules["looks_for_marks"] and s["mark"] == s["round"]:
            return "lock to break"
        return "lock to leave" if may_leave else None
    steps["asleep"] = asleep

    def told(s, o, me):
        passed = has_passed(s, o["mine"], rules)
        truth = dict(s["ends"])[o["mine"]]
        resets_since = o["mine"] < s["failed_before"]
        if passed != truth and not resets_since:
            raise Broken("somebody is told that its round has %s" % ("passed" if passed else "failed"))
        if passed and not truth:
            raise Broken("somebody is told that its round has passed")
        o["rounds"] -= 1
        return "start" if passed and o["rounds"] else "home"
    steps["told"] = told

    steps["lock to break"] = lambda s, o, me: acquire(s, o, me, "L", "break", "break")

    def break_it(s, o, me):
        # Both are looked at again: numbers of the dead are never used again, but there may have been a reset.
        if s["round"] == o["mine"] and ([who for who in s["members"] if who in s["gone"]] or s["mark"] == s["round"]):
            fail(s, rules)
        return "unlock to wait"
    steps["break"] = break_it

    def lock_to_leave(s, o, me):
        if s["L"] != 0:
            return "give up" if rules["marks_giving_up"] else "gave up"
        return acquire(s, o, me, "L", "leave", "leave")
    steps["lock to leave"] = lock_to_leave

    def leave(s, o, me):
        if s["round"] != o["mine"]:
            if rules["looks_before_leaving"]:
                return "unlock after it"
            if dict(s["ends"])[o["mine"]]:
                raise Broken("somebody is told that its round has failed")
        fail(s, rules)
        return "unlock for good"
    steps["leave"] = leave

    def give_up(s, o, me):
        s["mark"] = o["mine"]
        return "gave up"
    steps["give up"] = give_up

    def gave_up(s, o, me):
        if s["round"] != o["mine"]:
            return "told"
        s["left"] = o["mine"]
        return "home"
    steps["gave up"] = gave_up
    return steps


def resetter(rules):
    steps = {}
    steps["start"] = lambda s, o, me: acquire(s, o, me, "L", "reset", "reset")

    def reset(s, o, me):
        if s["arrived"] and rules["reset_fails_waiting"]:
            end_round(s, False)
        s.update(arrived=0, broken=False, members=())
        return "unlock"
    steps["reset"] = reset

    def following(o):
        o["resets"] -= 1
        return "start" if o["resets"] else END
    unlocking(steps, "unlock", following)
    return steps


def check(parties=2, processes=2, rounds=2, kills=0, may_leave=0, resets=0, must_end=False, **left_out):
    """The first `may_leave` processes have a deadline."""
    rules = {**RULES, **left_out}
    shared = {"L": 0, "round": 1, "arrived": 0, "failed": 0, "failed_before": 0, "broken": False, "members": (), "mark": 0, "left": 0,
              "gone": (), "ends": ()}
    them = [(party(rules, parties, i < may_leave), {"mine": 0, "rounds": rounds}) for i in range(processes)]
    if resets:
        them.append((resetter(rules), {"resets": resets}))

    def is_well(s, owns):
        asleep = [o for o in owns if o["at"] == "asleep"]
        if not asleep:
            return None
        if not resets and any(o["at"] == "dead" and o["mine"] for o in owns[:processes]):
            return "somebody waits for one who has died"
        if s["mark"] == s["round"]:
            return "somebody waits for one who has gone away"
        if s["broken"] or s["arrived"] < len(asleep):
            return "somebody waits for a round that is over"
        return None
    return explore(shared, them, kills, final=is_well, spared=(processes,) if resets else (),
                   must_end=must_end)


def main():
    suite = Suite("barrier")
    suite.expect("2 parties, 2 rounds, 2 kills", check(kills=2, must_end=True))
    suite.expect("3 parties, 1 kill", check(parties=3, processes=3, kills=1))
    suite.expect("2 parties of 3 processes, 1 kill", check(processes=3, kills=1))
    suite.expect("2 parties, one with a deadline, 1 kill", check(may_leave=1, kills=1))
    suite.expect("2 parties, both with a deadline", check(may_leave=2))
    suite.expect("2 parties, 2 resets, 1 kill", check(resets=2, kills=1))
    suite.expect("2 parties of 3 processes, 1 reset", check(processes=3, resets=1))
    suite.expect("2 parties, one with a deadline, 1 reset", check(may_leave=1, resets=1))

    suite.expect("without a look for the dead", check(kills=1, looks_for_dead=False), "one who has died")
    suite.expect("a look for the dead among those of this round alone",
                 check(kills=1, remembers_members=False), "one who has died")
    suite.expect("a failure that does not end the round", check(kills=1, failing_ends_round=False, must_end=True),
                 "without an end")
    suite.expect("a deadline without a last look", check(may_leave=1, looks_before_leaving=False),
                 "told that its round has failed")
    suite.expect("giving up without a mark", check(may_leave=1, marks_giving_up=False), "somebody has left")
    suite.expect("a mark that nobody looks for", check(may_leave=1, looks_for_marks=False), "somebody has left")
    suite.expect("a reset that forgets who waits", check(resets=1, reset_fails_waiting=False), "a round that is over")
    suite.expect("without the failure before the last", check(processes=3, resets=3, rounds=1, knows_failed_before=False),
                 "has passed")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
