# SPDX-License-Identifier: BSL-1.0
"""Pages of a file that is extended, and given back, while readers look at it: src/segment/extents.cpp (grow), src/segment/backing.cpp,
src/segment/trimming.cpp, and the commit of src/txn/root_transaction.cpp.

A reader without the lock follows any offset below the mark that it has read, some time later, and takes one beyond it for torn. So
each page below the mark must stay backed (a look at a hole is SIGBUS where the file system is full), and each page of an object lies
below it once the object's transaction is committed. Pages beyond the mark are known to those alone who hold a lock. What is modelled:

  S         the segment's lock
  limit     segment_control.committed_bytes, in pages
  log       the old limit, where the segment's log has it
  mark      segment_control.shown_bytes, in pages; it only grows
  b2 b3     whether pages 2 and 3 are backed; page 1 is, and is the segment's from the start
  o2 o3     whose they are: 0 free, else the number of the root
  A B       the roots' locks
  undoA     the transaction of A is not committed: its log is not empty
  linkA     the page that A's memory leads to; 0 none. A reader may follow it at any time
  doubtA    a page that was taken, and of which recovery decides

A `writer` takes a page in a transaction, growing the segment if there is none, and commits it, or fails and has it undone. An `asker`
has pages allocated ahead, without the lock, is told in the end that there are not as many, and gives back what it may. A `trimmer`
takes pages back at the end of the segment: a free page in the middle would be a hole below the mark as soon as one behind it is committed.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

LAST = 3


def backed(shared, page):
    return page == 1 or shared["b%d" % page]


def locking(steps, prefix, then):
    """Takes the segment's lock; what a dead holder had begun is taken back."""
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


def unlocking(steps, name, then, lock="S"):
    def unlock(s, o, me):
        release(s, o, me, lock)
        return then
    steps[name] = unlock


def writer(root, fails=False, shows=True, show_first=True, show_locked=True, backs=True, erases=False):
    """`fails`: its transaction is undone. `erases`: it gives the page back in another one."""
    steps = {}
    undo, link, doubt = "undo" + root, "link" + root, "doubt" + root
    number = 1 + "AB".index(root)
    steps["start"] = lambda s, o, me: acquire(s, o, me, root, "open", "recover")

    # What a dead owner of the root had begun.
    def recover(s, o, me):
        if s[undo]:
            s[link] = 0
            return "recover log"
        s[doubt] = 0  # committed: the page is the root's
        return "recovered"

    def recover_log(s, o, me):
        s[undo] = 0
        return "recover lock"

    def give_back(then):
        def step(s, o, me):
            if s[doubt]:
                s["o%d" % s[doubt]] = 0
                s[doubt] = 0
            return then
        return step

    steps["recover"], steps["recover log"] = recover, recover_log
    locking(steps, "recover lock", "recover back")
    steps["recover back"] = give_back("recover unlock")
    unlocking(steps, "recover unlock", "recovered")
    steps["recovered"] = lambda s, o, me: "open" if s[link] == 0 else "unlock root"

    def open_log(s, o, me):
        s[undo] = 1
        return "lock"

    steps["open"] = open_log
    locking(steps, "lock", "look")

    def look(s, o, me):
        for page in range(2, s["limit"] + 1):
            if s["o%d" % page] == 0:
                o["page"] = page
                return "take"
        if s["limit"] == LAST:
            return "full"
        o["page"] = s["limit"] + 1
        return "back"

    def back(s, o, me):
        if backs:
            s["b%d" % o["page"]] = True
        return "log"

    def log(s, o, me):
        s["log"] = s["limit"]
        return "limit"

    def limit(s, o, me):
        s["limit"] += 1
        return "grown"

    def grown(s, o, me):
        s["log"] = 0
        return "take"

    def take(s, o, me):
        s["o%d" % o["page"]] = number
        s[doubt] = o["page"]
        return "unlock"

    steps.update({"look": look, "back": back, "log": log, "limit": limit, "grown": grown, "take": take})
    unlocking(steps, "unlock", "link")
    unlocking(steps, "full", "undo log")

    def link_it(s, o, me):
        s[link] = o["page"]
        return "unlink" if fails else "commit lock" if show_locked else "show"

    def show(s, o, me):
        if shows:
            s["mark"] = max(s["mark"], o["page"])
        return "commit" if show_first else "commit unlock" if show_locked else "unlock root"

    def commit(s, o, me):
        s[undo] = 0
        return "settle"

    def settle(s, o, me):
        s[doubt] = 0
        if not show_first:
            return "show"
        return "commit unlock" if show_locked else "unlock root"

    steps["link"] = link_it
    locking(steps, "commit lock", "show" if show_first else "commit")
    steps.update({"show": show, "commit": commit, "settle": settle})
    unlocking(steps, "commit unlock", "erase" if erases else "unlock root")

    # One store that a commit makes; what is not given back after a death is no matter here.
    def erase(s, o, me):
        s[link] = 0
        return "erase lock"

    def erase_back(s, o, me):
        s["o%d" % o["page"]] = 0
        return "erase unlock"

    steps.update({"erase": erase, "erase back": erase_back})
    locking(steps, "erase lock", "erase back")
    unlocking(steps, "erase unlock", "unlock root")

    def unlink(s, o, me):
        s[link] = 0
        return "undo log"

    steps["unlink"] = unlink
    steps["undo log"] = lambda s, o, me: recover_log(s, o, me) and "undo lock"
    locking(steps, "undo lock", "undo back")
    steps["undo back"] = give_back("undo unlock")
    unlocking(steps, "undo unlock", "unlock root")
    unlocking(steps, "unlock root", END, root)
    return steps, {"page": 0}


def asker(uses_limit=True, looks_late=True, locks=True):
    steps = {}
    locking(steps, "start", "look")
    unlocking(steps, "looked", "ahead 2")
    locking(steps, "refused", "compare")
    unlocking(steps, "unlock", END)

    def unseen(s):
        return max(s["limit"] if uses_limit else 0, s["mark"]) + 1

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
            if page >= o["first"] and page >= o["from"]:
                s["b%d" % page] = False
            return "punch %d" % (page + 1) if page < LAST else "unlock" if locks else END
        return step

    steps.update({"look": look, "compare": compare})
    for page in range(2, LAST + 1):
        steps["ahead %d" % page] = ahead(page)
        steps["punch %d" % page] = punch(page)
    return steps, {"from": 0, "first": 0}


def trimmer(uses_mark=True, looks_late=True, tail_only=True, free_only=True, commit_first=True):
    """Takes the last page out of the segment, if it is free, and gives it back; twice."""
    steps = {}
    locking(steps, "start", "compare")

    def compare(s, o, me):
        if looks_late or not o["turns"]:
            o["mark"] = s["mark"] if uses_mark else 0
        o["turns"] += 1
        o["page"] = s["limit"]
        if not tail_only:
            o["page"] = next((page for page in range(o["mark"] + 1, s["limit"]) if s["o%d" % page] == 0), s["limit"])
        is_free = o["page"] > 1 and (s["o%d" % o["page"]] == 0 or not free_only)
        if not is_free or o["page"] <= o["mark"]:
            return "unlock"
        if not tail_only:
            return "punch"
        return "log" if commit_first else "punch"

    def log(s, o, me):
        s["log"] = s["limit"]
        return "limit"

    def limit(s, o, me):
        s["limit"] -= 1
        return "commit"

    def commit(s, o, me):
        s["log"] = 0
        return "punch" if commit_first else "unlock"

    def punch(s, o, me):
        s["b%d" % o["page"]] = False
        return "unlock" if commit_first else "log"

    steps.update({"compare": compare, "log": log, "limit": limit, "commit": commit, "punch": punch})

    def unlock(s, o, me):
        release(s, o, me, "S")
        return "start" if o["turns"] < 2 else END

    steps["unlock"] = unlock
    return steps, {"turns": 0, "mark": 0, "page": 0}


def readers_live(s, owns):
    for page in range(1, s["mark"] + 1):
        if not backed(s, page):
            return "a reader may be in a page that is a hole"
    for root in "AB":
        page = s["link" + root]
        if page and not backed(s, page):
            return "a page of an object is not backed"
        if page and not s["undo" + root] and page > s["mark"]:
            return "a committed page is damage to a reader"
    if s["linkA"] and s["linkA"] == s["linkB"]:
        return "a page is in two objects"
    return None


def nobody_waits(s, owns):
    return "somebody waits for ever" if any(own["at"] not in (END, "dead") for own in owns) else None


def check(*processes, kills=2):
    shared = {"S": 0, "limit": 1, "log": 0, "mark": 1, "b2": False, "b3": False, "o2": 0, "o3": 0}
    for root in "AB":
        shared.update({root: 0, "undo" + root: 0, "link" + root: 0, "doubt" + root: 0})
    return explore(shared, list(processes), kills, invariant=readers_live, final=nobody_waits)


def main():
    suite = Suite("growth")
    suite.expect("one that commits, one that fails, one that trims, 2 kills",
                 check(writer("A"), writer("B", fails=True), trimmer()))
    suite.expect("the same root again, and one that trims, 2 kills", check(writer("A", fails=True), writer("A"), trimmer()))
    suite.expect("two that commit, one that asks, 2 kills", check(writer("A"), writer("B"), asker()))
    suite.expect("one that fails, one that asks, one that trims, 2 kills",
                 check(writer("A", fails=True), asker(), trimmer()))
    suite.expect("one that grows, two that ask, 2 kills", check(writer("A"), asker(), asker()))
    suite.expect("one that commits and erases, one that commits, one that trims, 2 kills",
                 check(writer("A", erases=True), writer("B"), trimmer()))
    suite.expect("three of one root, 3 kills", check(writer("A"), writer("A", fails=True), writer("A"), kills=3))

    damage, hole, lost = "damage to a reader", "a reader may be in a page that is a hole", "of an object is not backed"
    suite.expect("a mark that is not raised", check(writer("A", shows=False), kills=0), damage)
    suite.expect("the mark after the commit", check(writer("A", show_first=False), kills=0), damage)
    suite.expect("a mark that trimming does not look at", check(writer("A", erases=True), trimmer(uses_mark=False), kills=0), hole)
    suite.expect("a mark that trimming has looked at before",
                 check(writer("A", erases=True), trimmer(looks_late=False), kills=0), hole)
    suite.expect("trimming of what is not free", check(writer("A"), trimmer(free_only=False), kills=0), lost)
    suite.expect("a limit before its pages", check(writer("A", backs=False), kills=0), lost)
    suite.expect("a page that is punched and stays the segment's",
                 check(writer("A"), writer("B", fails=True), trimmer(tail_only=False), kills=0), hole)
    suite.expect("punched before the limit is taken back",
                 check(writer("A", fails=True), writer("A"), trimmer(commit_first=False), kills=1), lost)
    suite.expect("what was asked for, given back below the limit",
                 check(writer("A"), asker(uses_limit=False), kills=0), lost)
    suite.expect("looked at before the pages are allocated", check(writer("A"), asker(looks_late=False), kills=0), lost)
    suite.expect("punched without the lock", check(writer("A"), asker(locks=False), kills=0), lost)
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
