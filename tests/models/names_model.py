# SPDX-License-Identifier: BSL-1.0
"""One name and the segments that have it, one after the other: src/segment/lifecycle.cpp, participants.cpp.

  name    the inode that the name leads to, or 0
  reg_i   the participants of inode i; reg_ of a process that is gone means nothing
  ret_i   segment_control.retired
  S_i     the segment's lock
  next    the next inode; made and registered before it is linked, as create_named() does

Processes, with the functions of the code:
  opener   open_or_create_named(): opens, joins (purpose::use_if_alive), or creates
  remover  a manager that made the segment and goes, or unlink_segment()
  gc       collect_if_unused(): attaches, then removes what nobody else uses. An opener that comes while it looks takes
           it for a user, and goes on with what the dead have left.
  child    a forked child that has its parent's segment and ends by _exit: it does nothing at all.
  parent   lets go before its child does, and looks again once that has ended: left_names.cpp, with purpose::clear_away.
What must hold: of two processes that use segments of the name at the same time, the one's is the other's or is retired;
nobody's segment is taken away but by a remover; nobody takes away the name of another one's segment. Where a child is the last
to go, its parent has taken the name away when it has ended.
"""
import sys

from checker import END, Broken, Suite, acquire, explore, release

INODES = (1, 2, 3)
RULES = dict(
    join_under_lock=True,         # look at `retired` and at the participants, and register, in one hold of the lock
    decide_when_joining=True,     # whether only the dead are there
    retired_is_marked=True,
    retired_is_helped=True,       # who finds the mark finishes the unlink
    inode_is_compared=True,       # before the unlink
    unlink_under_lock=True,
    look_under_lock=True,         # gc looks at the participants in the hold in which it removes
    register_before_link=True,    # a new segment has its first participant before it has its name
    parent_looks_again=True,      # after its child has ended
)


def alive(s, inode, but=None):
    return [p for p in s["reg_%d" % inode] if p not in s["gone"] and p != but]


class process:
    """Steps that the three kinds share."""

    def __init__(self, changed):
        self.rules = {**RULES, **changed}
        self.steps = {}

    def step(self, name):
        def add(function):
            self.steps[name] = function
            return function
        return add

    def lock(self, label, following):
        self.steps[label] = lambda s, o, me: acquire(s, o, me, "S_%d" % o["inode"], following, following)

    def unlock(self, label, following):
        @self.step(label)
        def _(s, o, me):
            release(s, o, me, "S_%d" % o["inode"])
            return following

    def retire(self, label, following, may_be_used=False):
        """retire(): the mark, a look at the name, the unlink. Under the lock unless that is left out."""
        rules = self.rules

        @self.step(label)
        def _(s, o, me):
            if not may_be_used and not s["ret_%d" % o["inode"]] and set(alive(s, o["inode"], me)) & set(s["using"]):
                raise Broken("a segment in use is taken away")
            if rules["retired_is_marked"]:
                s["ret_%d" % o["inode"]] = True
            return label + " look" if rules["inode_is_compared"] else label + " unlink"

        self.steps[label + " look"] = \
            lambda s, o, me: label + " unlink" if s["name"] == o["inode"] else following

        @self.step(label + " unlink")
        def _(s, o, me):
            if s["name"] not in (0, o["inode"]):
                raise Broken("the name of another segment is taken away")
            s["name"] = 0
            return following


def opener(**changed):
    p = process(changed)
    rules = p.rules

    @p.step("start")
    def _(s, o, me):
        if o["attempts"] == 0:
            raise Broken("the name cannot be used any more")
        o["attempts"] -= 1
        o["inode"] = s["name"]
        if s["name"]:
            return "join lock" if rules["join_under_lock"] else "join"
        return "make"

    @p.step("make")
    def _(s, o, me):
        o["inode"] = s["next"]
        if o["inode"] not in INODES:
            return END  # more than this model follows
        s["next"] += 1
        if rules["register_before_link"]:
            s["reg_%d" % o["inode"]] = (me,)
        return "link"

    @p.step("link")
    def _(s, o, me):
        if s["name"]:  # EEXIST
            return "start"
        s["name"] = o["inode"]
        if not rules["register_before_link"]:
            return "register late"
        s["using"] += (me,)
        return "use"

    @p.step("register late")
    def _(s, o, me):
        s["reg_%d" % o["inode"]] += (me,)
        s["using"] += (me,)
        return "use"

    p.lock("join lock", "join")

    @p.step("join")
    def _(s, o, me):
        inode = "_%d" % o["inode"]
        leaves = "again" if rules["join_under_lock"] else "start"
        if s["ret" + inode]:
            return "retire" if rules["retired_is_helped"] else leaves
        if rules["decide_when_joining"] and not alive(s, o["inode"]):
            return "retire"
        return "register" if rules["join_under_lock"] else "register unlocked"

    @p.step("register")
    def _(s, o, me):
        if s["ret_%d" % o["inode"]]:
            raise Broken("somebody joins a segment that is retired")
        s["reg_%d" % o["inode"]] += (me,)
        if not rules["decide_when_joining"]:
            return "joined undecided"
        s["using"] += (me,)
        return "joined" if rules["join_under_lock"] else "use"
    p.steps["register unlocked"] = p.steps["register"]

    p.retire("retire", "again" if rules["join_under_lock"] else "start")
    p.unlock("again", "start")
    p.unlock("joined", "use")

    # left out: a second hold of the lock, in which the others are looked at
    p.unlock("joined undecided", "decide lock")
    p.lock("decide lock", "decide")

    @p.step("decide")
    def _(s, o, me):
        if not alive(s, o["inode"], me):
            return "retire"
        s["using"] += (me,)
        return "joined"

    @p.step("use")
    def _(s, o, me):
        if o["inode"] == s["left"]:
            raise Broken("what only the dead have left is used")
        return "used"

    @p.step("used")
    def _(s, o, me):
        s["using"] = tuple(u for u in s["using"] if u != me)
        return END
    return p.steps, {"inode": 0, "attempts": 4}


def remover(**changed):
    p = process(changed)
    locks = p.rules["unlink_under_lock"]

    @p.step("start")
    def _(s, o, me):
        return "lock" if locks else "retire"
    p.lock("lock", "retire")
    p.retire("retire", "unlock" if locks else END, may_be_used=True)
    p.unlock("unlock", END)
    return p.steps, {"inode": 1}  # the one that is there at first


def gc(**changed):
    p = process(changed)
    rules = p.rules

    @p.step("start")
    def _(s, o, me):
        o["inode"] = s["name"]
        return "join lock" if s["name"] else END
    p.lock("join lock", "join")

    @p.step("join")
    def _(s, o, me):
        if s["ret_%d" % o["inode"]]:
            return "retire"
        s["reg_%d" % o["inode"]] += (me,)
        return "joined"
    p.unlock("joined", "lock" if rules["look_under_lock"] else "look")
    p.lock("lock", "look" if rules["look_under_lock"] else "retire")

    @p.step("look")
    def _(s, o, me):
        used = bool(alive(s, o["inode"], me))
        if not rules["look_under_lock"]:
            return END if used else "lock"
        return "unlock" if used or s["ret_%d" % o["inode"]] else "retire"
    p.retire("retire", "unlock")
    p.unlock("unlock", END)
    return p.steps, {"inode": 0}


def child(**changed):
    p = process(changed)

    @p.step("start")
    def _(s, o, me):
        s["using"] = tuple(u for u in s["using"] if u != me)
        return END
    return p.steps, {"inode": 1}


def parent(**changed):
    """Of the process before it in the list, which is a child."""
    p = process(changed)
    rules = p.rules

    @p.step("start")
    def _(s, o, me):
        s["using"] = tuple(u for u in s["using"] if u != me)
        s["reg_1"] = tuple(r for r in s["reg_1"] if r != me)
        return "leave look"

    @p.step("leave look")  # remove_if_unused(): without the lock, as whoever sees another needs none
    def _(s, o, me):
        return "left" if alive(s, 1) else "lock"

    @p.step("left")
    def _(s, o, me):
        if not rules["parent_looks_again"]:
            return END
        return "name" if me - 1 in s["gone"] else None

    @p.step("name")
    def _(s, o, me):
        return "peek" if s["name"] == 1 else END

    @p.step("peek")  # without the lock; while others have it, later once more
    def _(s, o, me):
        return None if alive(s, 1) else "lock" if rules["look_under_lock"] else "retire"
    p.lock("lock", "look")

    @p.step("look")
    def _(s, o, me):
        return "in use" if alive(s, 1) and not s["ret_1"] else "retire"
    p.unlock("in use", "name")
    p.retire("retire", "unlock" if rules["look_under_lock"] else END)
    p.unlock("unlock", END)
    return p.steps, {"inode": 1}


def one_segment(s, owns):
    """Of the segments in use at the same time, all but one are retired."""
    used = {own["inode"] for me, own in enumerate(owns) if own["at"] in ("use", "used") and me not in s["gone"]}
    if len([inode for inode in used if not s["ret_%d" % inode]]) > 1:
        return "two segments of one name are in use, and neither is retired"
    return None


def nobody_waits(s, owns):
    return "somebody waits for ever" if any(own["at"] not in (END, "dead") for own in owns) else None


def name_goes(s, owns):
    """Of a child and its parent, alone and not killed: neither leaves the name behind."""
    return "the name outlives the last process" if s["name"] == 1 else nobody_waits(s, owns)


def check(*kinds, kills=2, left_by_dead=False, final=nobody_waits, **rules):
    """At first there is a segment: of the removers among the processes, or of somebody who is gone. `left_by_dead`: nobody
    may use it then."""
    made = {opener: 0, gc: 0, remover: 1, child: 1, parent: 1}
    owners = tuple(me for me, kind in enumerate(kinds) if made[kind])
    shared = {"name": 1, "next": 2, "gone": (), "using": owners, "left": 1 if left_by_dead else 0}
    for inode in INODES:
        shared.update({"S_%d" % inode: 0, "ret_%d" % inode: False, "reg_%d" % inode: ()})
    shared["reg_1"] = owners
    return explore(shared, [kind(**rules) for kind in kinds], kills, invariant=one_segment, final=final)


def main():
    suite = Suite("names")
    suite.expect("two openers, what the dead have left, 2 kills", check(opener, opener, left_by_dead=True))
    suite.expect("a remover, two openers, 2 kills", check(remover, opener, opener))
    suite.expect("two removers, an opener, 2 kills", check(remover, remover, opener))
    suite.expect("gc, two openers, 1 kill", check(gc, opener, opener, kills=1))
    suite.expect("two gc, an opener, 2 kills", check(gc, gc, opener))
    suite.expect("a remover, gc, an opener, 2 kills", check(remover, gc, opener))
    suite.expect("a child and its parent", check(child, parent, kills=0, final=name_goes))
    suite.expect("a child and its parent, a gc", check(child, parent, gc, kills=0, final=name_goes))
    suite.expect("a grandchild, a child and its parent", check(child, child, parent, kills=0, final=name_goes))
    suite.expect("a child and its parent, two openers, 1 kill", check(child, parent, opener, opener, kills=1))
    suite.expect("a child and its parent, gc, an opener, 2 kills", check(child, parent, gc, opener))
    suite.expect("two children and their parents, an opener, 1 kill", check(child, parent, child, parent, opener, kills=1))

    suite.expect("a parent that does not look again",
                 check(child, parent, kills=0, final=name_goes, parent_looks_again=False), "outlives")
    suite.expect("a parent that looks without the lock",
                 check(child, parent, opener, kills=0, look_under_lock=False), "in use")
    suite.expect("without the lock when joining",
                 check(opener, remover, kills=0, join_under_lock=False), "joins a segment that is retired")
    suite.expect("joined first, decided later", check(opener, opener, kills=0, left_by_dead=True,
                                                      decide_when_joining=False), "only the dead")
    suite.expect("without the mark", check(remover, opener, opener, kills=0, retired_is_marked=False), "two segments")
    suite.expect("without help for a remover that died",
                 check(remover, opener, kills=1, retired_is_helped=False), "cannot be used")
    suite.expect("without a look at the inode",
                 check(remover, remover, opener, kills=0, inode_is_compared=False), "name of another")
    suite.expect("without the lock when unlinking",
                 check(remover, remover, opener, kills=0, unlink_under_lock=False), "name of another")
    suite.expect("a gc that looks before it locks",
                 check(gc, remover, opener, kills=1, look_under_lock=False), "in use")
    suite.expect("a first participant who comes after the name",
                 check(opener, opener, kills=0, left_by_dead=True, register_before_link=False), "in use")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
