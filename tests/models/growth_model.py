# SPDX-License-Identifier: BSL-1.0
"""Pages of a file that is extended while readers look at it: src/segment/extents.cpp (grow), src/segment/backing.cpp (back_ahead).

A reader without the lock follows any offset below the limit that it has read, some time later. So a page below a limit that was
ever stored must stay backed: a look at a hole is SIGBUS where the file system is full. What is modelled:

  S         the segment's lock
  limit     segment_control.committed_bytes, in pages
  log       the old limit, where the segment's log has it
  mark      segment_control.shown_bytes, in pages: stored before the limit is, and never taken back
  b2 b3     whether pages 2 and 3 are backed; page 1 is, and is the segment's from the start
  shown     no memory: the largest limit that readers can have seen

`grower` grows by one page. `asker` has all pages allocated ahead, without the lock, is told in the end that there are not as many,
and gives back what it may. Which pages a dead growth has shown cannot be seen in the file: the system has them allocated, and
reports those that nobody has written as holes.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

LAST = 3


def backed(shared, page):
    return page == 1 or shared["b%d" % page]


def locking(steps, prefix, then):
    """Takes the lock; what a dead holder had begun is taken back."""
    def restore(s, o, me):
        if s["log"]:
            s["limit"] = s["log"]
        return prefix + " forget"

    def forget(s, o, me):
        s["log"] = 0
        return then

    steps[prefix] = lambda s, o, me: acquire(s, o, me, "S", then, prefix + " restore")
    steps[prefix + " restore"] = restore
    steps[prefix + " forget"] = forget


def unlocking(steps, name, then):
    def unlock(s, o, me):
        release(s, o, me, "S")
        return then
    steps[name] = unlock


def grower(back_first=True, marks=True, mark_first=True):
    steps = {}
    locking(steps, "start", "back" if back_first else "log")
    unlocking(steps, "unlock", END)

    def back(s, o, me):
        if s["limit"] < LAST:
            s["b%d" % (s["limit"] + 1)] = True
        return "log"

    def log(s, o, me):
        if s["limit"] == LAST:
            return "unlock"
        s["log"] = s["limit"]
        return "mark" if marks and mark_first else "limit"

    def mark(s, o, me):
        s["mark"] = max(s["mark"], s["limit"] + (1 if mark_first else 0))
        return "limit" if mark_first else "commit"

    def limit(s, o, me):
        s["limit"] += 1
        s["shown"] = max(s["shown"], s["limit"])
        return "mark" if marks and not mark_first else "commit"

    def commit(s, o, me):
        s["log"] = 0
        return "unlock"

    steps.update({"back": back, "log": log, "mark": mark, "limit": limit, "commit": commit})
    return steps, {}


def asker(uses_mark=True, looks_late=True, locks=True):
    steps = {}
    locking(steps, "start", "look")
    unlocking(steps, "looked", "ahead 2")
    locking(steps, "refused", "compare")
    unlocking(steps, "unlock", END)

    def unseen(s):
        return max(s["limit"], s["mark"] if uses_mark else 0) + 1

    def look(s, o, me):
        o["from"] = s["limit"] + 1
        o["first"] = unseen(s)
        return "looked"

    def ahead(page):
        def step(s, o, me):
            if page >= o["from"]:
                s["b%d" % page] = True
            return "ahead %d" % (page + 1) if page < LAST else "refused" if locks else "compare"
        return step

    def compare(s, o, me):
        if looks_late:
            o["first"] = unseen(s)
        return "punch 2"

    def punch(page):
        def step(s, o, me):
            if page >= o["first"] and page >= o["from"] and backed(s, page):
                if page <= s["shown"]:
                    raise Broken("a page is punched that a reader may be in")
                s["b%d" % page] = False
            return "punch %d" % (page + 1) if page < LAST else "unlock" if locks else END
        return step

    steps.update({"look": look, "compare": compare})
    for page in range(2, LAST + 1):
        steps["ahead %d" % page] = ahead(page)
        steps["punch %d" % page] = punch(page)
    return steps, {"from": 0, "first": 0}


def limit_is_backed(s, owns):
    if any(not backed(s, page) for page in range(1, s["shown"] + 1)):
        return "a page that was the segment's is not backed"
    return None


def nobody_waits(s, owns):
    return "somebody waits for ever" if any(own["at"] not in (END, "dead") for own in owns) else None


def check(*processes, kills=2, mark=1):
    shared = {"S": 0, "limit": 1, "log": 0, "mark": mark, "b2": False, "b3": False, "shown": 1}
    return explore(shared, list(processes), kills, invariant=limit_is_backed, final=nobody_waits)


def main():
    suite = Suite("growth")
    suite.expect("two that grow, one that asks, 2 kills", check(grower(), grower(), asker()))
    suite.expect("one that grows, two that ask, 2 kills", check(grower(), asker(), asker()))
    suite.expect("a segment whose mark is still 0", check(grower(), grower(), asker(), mark=0))
    suite.expect("three that grow, 3 kills", check(grower(), grower(), grower(), kills=3))

    suite.expect("a limit before its pages", check(grower(back_first=False), kills=0), "is not backed")
    suite.expect("without the mark", check(grower(marks=False), asker(), kills=1), "a reader may be in")
    suite.expect("the mark after the limit", check(grower(mark_first=False), asker(), kills=1), "a reader may be in")
    suite.expect("a mark that is not looked at", check(grower(), asker(uses_mark=False), kills=1), "a reader may be in")
    suite.expect("looked at before the pages are allocated",
                 check(grower(), asker(looks_late=False), kills=0), "a reader may be in")
    suite.expect("punched without the lock", check(grower(), asker(locks=False), kills=0), "a reader may be in")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
