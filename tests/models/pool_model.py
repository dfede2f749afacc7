# SPDX-License-Identifier: BSL-1.0
"""A pool of worker processes: src/pool/pool_core.cpp (the steps), worker.cpp, family.cpp (guardian and nurseries),
process_pool.cpp and process_pool_collecting.cpp (the owner).

Processes: 0 the owner's submitter, 1 its collector, 2 the guardian, 3 and more the nurseries, then the workers, in the order in
which they are forked; the first of them are the guardian's children. What is modelled, with the names of the code. Logged, and
written under the root's lock:

  q, fin     the tasks that wait (of one priority), and those that are finished: lists of task numbers
  t0 t1      task_record: (stage, items_done, attempts, is_cut, block); () before it is pushed and after it is freed
  s0 s1      worker_slot: (identity, incarnation, task, order, block); identity is the process's number, 0: the place is free
  last       last_incarnation
  heap       how many blocks are allocated; `block` is a capacity, 0: the frames are in the record itself
  nursery    the last one that has registered

Not logged: p0 p1 (progress), b0 b1 (the frames, written by whoever has the task), look (places whose is_looking is set), state
(the owner's).

  R, log, wakes          the root's lock; what was there before its holder's stores; what it wakes before it commits
  flag armed asleep      the event count pool_has_task: waiters, who has registered since the last bump, who sleeps, oldest first
  res_flag res           pool_has_result, whose one waiter is the collector
  kids gone bell         the kernel's: (child, parent, place) that nobody has reaped, who is dead, the eventfd
  signalled ordered      who was sent SIGKILL; (who, for which task)
  passed                 what a nursery has from the guardian that forks it: starting_

No memory, but what is checked: e0 h0 (for each item: how often its user code was entered; how often a kill came between progress
2i + 1 and 2i + 2), having (who has begun a task last), out (how each task has ended for its owner).

A transaction is three steps: lock and stores; wakes; commit and unlock. A kill can come before each. The owner is not killed
alone, so its transactions are one step, and so are those of supervisors that a check does not kill. A locker that finds the
holder dead rolls back, wakes everyone, and begins anew. undo_model.py and waits_model.cpp have stores, lock and event counts one
by one.

Left out: be_ready and failed_starts, priorities, timeouts, retry_if, max_pending, the owner's death, memory that runs out, and
the numbers `changes` and `results`: a sleeper that looks at a tick finds news if there is a task, or a result. A look for tasks
may end at any time.

Where nobody steps, only the clock goes on. Such states are counted, and each check says whose tick it may need. The collector's
look after its family (250 ms), and that of a nursery without a guardian (20 ms), come at any time, and are not counted.
"""
import sys
from collections import Counter
from types import SimpleNamespace

from checker import DIED, END, Broken, Suite, explore, leave

RULES = dict(
    take_logs_progress=True,            # or a take that is undone leaves the task before it with the progress of the new one
    finish_and_take_are_one_commit=True,
    take_counts_the_attempt=True,       # not the worker, when it begins
    attempts_end_with_the_item=True,    # hand_over() begins at 0 for the next one
    later_items_are_new=True,           # settle_death(): an item behind others of this worker's is at its first attempt
    entry_costs_the_attempt=True,       # a death before it gives the attempt back
    death_has_a_frame=True,             # before it counts as an item that is done
    death_before_settling=True,         # an order is no death
    settling_wakes=True,                # a worker, if a task waits
    settling_compares=True,             # the incarnation, under the lock
    strangers_are_settled=True,         # by a nursery without a guardian
    blocks_are_handed_over=True,
    claim_needs_a_free_place=True,
    looker_says_when_it_ends=True,      # is_looking is cleared
    looker_looks_again=True,            # and then it looks under the lock, before it sleeps
    withdraw_only_what_waits=True,
    order_compares_the_task=True,       # under the lock
    order_before_take=True,             # who is to be killed takes no other task
    order_ends_the_task=True,           # also when it was not begun, or has further items: it is_cut then
    table_is_swept=True,                # a supervisor settles whoever is dead in the table, under the lock, not who was reaped
    nursery_knows_its_guardian=True,    # from before the fork
    incarnations_are_not_reused=True,   # or the identity is compared, too
    bell_for_every_worker=True,         # that the guardian reaps, not only for those that it settles
    room_before_entry=True,             # for a death, behind the frames that are there
    cancel_is_repeated=True,            # while the task is not ended but given back
    broken_pool_is_looked_after=True,   # deaths are settled there, too
    attempt_is_the_item_s=True,         # what this_task::attempt() says
)

PLACES = (0, 1)
S, T, P, B, E, H = (tuple(letter + str(i) for i in PLACES) for letter in "stpbeh")
SUBMITTER, COLLECTOR, GUARDIAN, FIRST_NURSERY = 0, 1, 2, 3
OPEN, CLOSING, BROKEN = 0, 1, 2
WAITING, TAKEN, FINISHED = "waiting", "taken", "finished"
ARMED, ASLEEP = 1, 2
# Of bytes: 128 are in the record, 24 are a small value's frame, 40 a death's, which are kept free. Smaller, but of that order.
INLINE, VALUE, DEATH = 3, 1, 2


def put(values, i, value):
    return values[:i] + (value,) + values[i + 1:]


def without(values, value):
    return tuple(v for v in values if v != value)


# -- the root ---------------------------------------------------------------------------------------------------------

def store(s, key, value):
    if all(key != logged for logged, _ in s["log"]):
        s["log"] += ((key, s[key]),)
    s[key] = value


def change(s, key, **changed):
    """Stores some words of a worker_slot or task_record."""
    names = ("identity", "incarnation", "task", "order", "block")
    if key in T:
        names = ("stage", "items_done", "attempts", "is_cut", "block")
    store(s, key, tuple(changed.get(name, value) for name, value in zip(names, s[key])))


def wake_task(s, count):
    if s["flag"]:
        s.update(flag=int(s["asleep"] != ()), armed=(), asleep=s["asleep"][count:])


def wake_result(s):
    if s["res_flag"]:
        s.update(res_flag=int(s["res"] == ASLEEP), res=0)


WAKES = {"one": lambda s: wake_task(s, 1), "all": lambda s: wake_task(s, len(s["asleep"])), "result": wake_result}


def recover(s, case):
    for key, old in s["log"]:
        s[key] = old
    s.update(R=0, log=(), wakes=(), flag=0, armed=(), asleep=(), res_flag=0, res=0)
    audit(s, case)


def audit(s, case):
    """What holds whenever the lock is free, and its last holder has committed."""
    slots, records = [s[key] for key in S], [s[key] for key in T]
    for task in PLACES:
        places = [WAITING] * s["q"].count(task) + [FINISHED] * s["fin"].count(task) + [TAKEN for slot in slots if slot[2] == task]
        if places != list(records[task][:1]):
            raise Broken("a task is lost, or in two places")
        if places == [FINISHED] and records[task][1] != case.items[task] and not records[task][3]:
            raise Broken("a task is finished before its items are")
    if any(task >= 0 and not identity for identity, _, task, _, _ in slots):
        raise Broken("a task is in a place without a worker")
    if any(block and task < 0 for _, _, task, _, block in slots):
        raise Broken("a worker without a task has results")
    if s["heap"] != sum(1 for each in slots + records if each and each[-1]):
        raise Broken("a block leaks, or is freed in use")


def transaction(case, steps, label, stores, at_once=False, last=None):
    """`stores(s, o, me)` returns the label that follows; `last` may change it, after the commit and before the unlock."""
    def unlock(s, o, me, after):
        if not case.collects:  # the owner has it at once
            for task in s["fin"]:
                deliver(s, case, task)
            s["fin"] = ()
        s.update(R=0, log=())
        for i in PLACES:
            if s[S[i]][2] < 0:
                s[P[i]] = 0  # not read any more: fewer states
        audit(s, case)
        if last:
            after = last(s, o, me, after)
        if after == END:
            clear(s, o, me)
        return after

    def lock(s, o, me):
        if s["R"] > 0:
            return None
        if s["R"] == DIED:
            recover(s, case)
            return label
        s["R"] = me + 1
        after = stores(s, o, me)
        s["wakes"] = tuple(w for w in s["wakes"] if s["res_flag" if w == "result" else "flag"])
        if at_once or not (s["log"] or s["wakes"]):
            wake(s, o, me)
            return unlock(s, o, me, after)
        o["then"] = after
        return label + (", wakes" if s["wakes"] else ", commit")

    def wake(s, o, me):
        for each in s["wakes"]:
            WAKES[each](s)
        s["wakes"] = ()
        return label + ", commit"

    def commit(s, o, me):
        after, o["then"] = o["then"], ""
        return unlock(s, o, me, after)
    steps.update({label: lock, label + ", wakes": wake, label + ", commit": commit})


def clear(s, o, me):
    """What is a process's own ends with it."""
    s.update({key: without(s[key], me) for key in ("armed", "asleep", "signalled")})
    s["ordered"] = tuple(each for each in s["ordered"] if each[0] != me)
    for key in o:
        if key not in ("at", "locks", "place"):
            o[key] = type(o[key])()


def strike(case):
    def kill(s, o, me, is_signalled):
        if me >= case.first_worker and o["place"] >= 0:
            i = o["place"]
            identity, _, task, _, _ = dict(s["log"]).get(S[i], s[S[i]]) if s["R"] == me + 1 else s[S[i]]
            if identity == me and task >= 0:
                if is_signalled and dict(s["ordered"])[me] != task:
                    raise Broken("a worker is killed for a task that it does not have")
                item, is_begun = divmod(s[P[i]], 2)
                if is_begun:
                    s[H[task]] = put(s[H[task]], item, s[H[task]][item] + 1)
        clear(s, o, me)
        leave(s, me)
        if s["R"] == me + 1:
            s["R"] = DIED
    return kill


# -- pool_core.cpp ----------------------------------------------------------------------------------------------------

def tell_one_worker(s):
    if s["look"]:
        s["look"] = s["look"][1:]
    else:
        s["wakes"] += ("one",)


def wait_again(s, task, is_first):
    store(s, "q", (task,) + s["q"] if is_first else s["q"] + (task,))
    change(s, T[task], stage=WAITING)
    tell_one_worker(s)


def finish_or_wait_again(s, case, task, order):
    if s[T[task]][1] != case.items[task]:
        if not order or not case.rules["order_ends_the_task"]:
            return wait_again(s, task, True)
        change(s, T[task], is_cut=1)
    store(s, "fin", s["fin"] + (task,))
    change(s, T[task], stage=FINISHED)
    s["wakes"] += ("result",)


def hand_over(s, case, i, task, items_done):
    block = s[S[i]][4]
    if s[T[task]][1] != items_done:
        change(s, T[task], items_done=items_done)
        if items_done != case.items[task] and case.rules["attempts_end_with_the_item"]:
            change(s, T[task], attempts=0)
    if block and case.rules["blocks_are_handed_over"]:
        change(s, T[task], block=block)
        change(s, S[i], block=0)
    change(s, S[i], task=-1)
    s["having"] = put(s["having"], task, 0)


def clear_worker(s, i):
    change(s, S[i], identity=0, incarnation=0, order="")
    s["look"] = without(s["look"], i)


def end_of(frames):
    return sum(VALUE if kind == "value" else DEATH for kind, _ in frames)


def settle_death(s, case, i):
    rules = case.rules
    _, _, task, order, block = s[S[i]]
    if task >= 0:
        _, before, attempts, _, _ = s[T[task]]
        items_done, is_begun = divmod(s[P[i]], 2)
        if items_done > before and rules["later_items_are_new"]:
            attempts = 1
        is_over = is_begun and (order or attempts > case.retries)
        if is_over and rules["death_has_a_frame"]:
            frames = s[B[task]][:items_done]
            if end_of(frames) + DEATH > (block or INLINE):
                raise Broken("no room for how a worker has died")
            if not order and s[H[task]][items_done] != case.retries + 1:
                raise Broken("an item is given up before its attempts are used up")
            s[B[task]] = frames + (("death", items_done),)
        hand_over(s, case, i, task, items_done + bool(is_over))
        if not is_over:
            change(s, T[task], attempts=attempts if is_begun or not rules["entry_costs_the_attempt"] else attempts - 1)
        finish_or_wait_again(s, case, task, order)
    clear_worker(s, i)
    s["wakes"] += ("result", "all") if s["q"] and rules["settling_wakes"] else ("result",)


def is_wanted(s, case, i):
    return i < case.target and (s["state"] == OPEN or (s["state"] == CLOSING and s["q"] != ()))


def dead_places(s):
    return [i for i in PLACES if s[S[i]][0] and s[S[i]][0] in s["gone"]]


# -- worker.cpp -------------------------------------------------------------------------------------------------------

def worker(case):
    rules, steps = case.rules, {}

    def own_slot(s, o, me):
        slot = s[S[o["place"]]]
        if slot[0] != me:
            raise Broken("the place of a living worker is not its own")
        return slot

    def claim(s, o, me):
        i = o["place"]
        if not is_wanted(s, case, i) or (s[S[i]][0] and rules["claim_needs_a_free_place"]):
            return END
        store(s, "last", s["last"] + 1)
        change(s, S[i], identity=me, incarnation=s["last"], order="")
        o["left"] = case.limit
        return "next"
    transaction(case, steps, "claim", claim)

    def start(s, o, me):
        o["place"] = next((place for child, _, place in s["kids"] if child == me), -1)
        return steps["claim"](s, o, me) if o["place"] >= 0 else None
    steps["start"] = start

    # -- idle -----------------------------------------------------------------------------------------------------------
    def leave_pool(s, o):
        clear_worker(s, o["place"])
        s["wakes"] += ("all", "result") if s["state"] == CLOSING else ("result",)
        return END

    def take(s, o, me, waits):
        i = o["place"]
        order = own_slot(s, o, me)[3]
        s["look"] = without(s["look"], i)
        if (order and rules["order_before_take"]) or s["state"] == BROKEN:
            return leave_pool(s, o)
        if not s["q"]:
            return waits if s["state"] == OPEN else leave_pool(s, o)
        task = s["q"][0]
        _, items_done, attempts, _, block = s[T[task]]
        store(s, "q", s["q"][1:])
        change(s, T[task], stage=TAKEN, attempts=attempts + rules["take_counts_the_attempt"], block=0)
        change(s, S[i], task=task, block=block)
        if rules["take_logs_progress"]:
            store(s, P[i], 2 * items_done)
        s[P[i]] = 2 * items_done
        return "begin"

    # Hands over what was done, and takes the next task.
    def finish(s, o, me):
        i = o["place"]
        task = own_slot(s, o, me)[2]
        if task < 0:
            return go_on(s, o, me)
        hand_over(s, case, i, task, s[P[i]] // 2)
        if rules["finish_and_take_are_one_commit"]:
            return finish_rest(s, o, me, task)
        o["kept"] = task
        return "next, rest"

    def finish_rest(s, o, me, task):
        finish_or_wait_again(s, case, task, own_slot(s, o, me)[3])
        return go_on(s, o, me)

    def go_on(s, o, me):
        if case.limit and not o["left"]:
            return leave_pool(s, o)
        return take(s, o, me, "look" if o["place"] in case.looks else "lie down")

    def begin_looking(s, o, me, after):
        if after != "look" or s["look"]:
            return "lie down" if after == "look" else after
        s["look"] = (o["place"],)
        return after
    transaction(case, steps, "next", finish, last=begin_looking)
    transaction(case, steps, "next, rest", lambda s, o, me: finish_rest(s, o, me, o["kept"]), last=begin_looking)

    def stop_looking(s, o, me):
        if rules["looker_says_when_it_ends"]:
            s["look"] = without(s["look"], o["place"])
        return "register"

    # It looks until there is something, or it is time. Then, as after a sleep, it looks under the lock.
    transaction(case, steps, "look again", lambda s, o, me: take(s, o, me, "lie down"))
    is_safe = rules["looker_says_when_it_ends"] and rules["looker_looks_again"]
    steps["look"] = steps["look again"] if is_safe else stop_looking

    def register(s, me):
        s.update(flag=1, armed=tuple(sorted(s["armed"] + (me,))))
        return "sleep"

    def lie_down(s, o, me):
        after = take(s, o, me, "sleep")
        return register(s, me) if after == "sleep" else after
    transaction(case, steps, "lie down", lie_down)
    transaction(case, steps, "register", lambda s, o, me: register(s, me))

    def sleep(s, o, me):
        if me not in s["armed"]:
            return "look again"
        s.update(armed=without(s["armed"], me), asleep=s["asleep"] + (me,))
        return "asleep"
    steps["sleep"] = sleep
    steps["asleep"] = lambda s, o, me: None if me in s["asleep"] else steps["look again"](s, o, me)

    # -- a task ---------------------------------------------------------------------------------------------------------
    def begin(s, o, me):
        i = o["place"]
        _, _, task, _, block = own_slot(s, o, me)
        if rules["room_before_entry"] and end_of(s[B[task]][:s[P[i]] // 2]) + DEATH > (block or INLINE):
            return "grow"
        if s["having"][task] not in (0, me) and s["having"][task] not in s["gone"]:
            raise Broken("two living workers have one task")
        s["having"] = put(s["having"], task, me)
        s[P[i]] += 1
        return "user"

    def user(s, o, me):
        if o["hangs"]:
            return None
        task, item = own_slot(s, o, me)[2], s[P[o["place"]]] // 2
        _, items_done, attempts, _, _ = record = s[T[task]]
        if not rules["take_counts_the_attempt"]:
            attempts += 1
            s[T[task]] = put(record, 2, attempts)
        attempt = 1 if rules["attempt_is_the_item_s"] and item != items_done else attempts
        if case.asks_attempt and attempt != s[H[task]][item] + 1:
            raise Broken("a task is told another item's attempt")
        entered = s[E[task]][item] + 1
        if entered > case.retries + 1:
            raise Broken("user code is entered more often than it may be tried")
        s[E[task]] = put(s[E[task]], item, entered)
        o["hangs"] = int(task in case.hangs)
        return "user" if o["hangs"] else "result"

    def result(s, o, me):
        _, _, task, _, block = own_slot(s, o, me)
        item = s[P[o["place"]]] // 2
        frames = s[B[task]][:item]
        if end_of(frames) + VALUE + DEATH > (block or INLINE):
            return "grow"
        s[B[task]] = frames + (("value", item),)
        return "item ends"

    def grow(s, o, me):
        _, _, task, _, block = own_slot(s, o, me)
        items_done, is_begun = divmod(s[P[o["place"]]], 2)
        store(s, "heap", s["heap"] + (not block))
        change(s, S[o["place"]], block=end_of(s[B[task]][:items_done]) + VALUE + DEATH)
        return "result" if is_begun else "begin"
    transaction(case, steps, "grow", grow)

    def item_ends(s, o, me):
        i = o["place"]
        s[P[i]] += 1
        if case.limit:
            o["left"] -= 1
        is_last = s[P[i]] // 2 == case.items[own_slot(s, o, me)[2]] or (case.limit and not o["left"])
        return "next" if is_last else "begin"
    steps.update({"begin": begin, "user": user, "result": result, "item ends": item_ends})
    return steps


# -- family.cpp -------------------------------------------------------------------------------------------------------

def has_zombie(s, me):
    """A dead child of that process. The guardian has those of dead nurseries, init those of the guardian."""
    return any(child in s["gone"] and parent_of(s, parent) == me for child, parent, _ in s["kids"])


def parent_of(s, parent):
    if parent not in s["gone"]:
        return parent
    return 0 if GUARDIAN in s["gone"] else GUARDIAN


def supervise(case, steps, after, at_once):
    """reap() and settle_dead() of guardian and nursery."""
    rules = case.rules

    def reap(s, o, me):
        zombies = [kid for kid in s["kids"] if kid[0] in s["gone"] and parent_of(s, kid[1]) == me]
        s["kids"] = tuple(kid for kid in s["kids"] if kid not in zombies)
        for child, _, _ in zombies:
            # The table says, as it stands there.
            if child in o["starting"] or any(s[S[i]][0] == child for i in PLACES):
                o["dead"] += (child,)
            o["starting"] = tuple(0 if p == child else p for p in o["starting"])
            if rules["bell_for_every_worker"]:
                o["rings"] = 1
        return "settle" if o["dead"] or rules["table_is_swept"] else after
    steps["reap"] = reap

    def settle(s, o, me):
        dead, o["dead"] = o["dead"][-1:], o["dead"][:-1]
        places = [i for i in PLACES if s[S[i]][0] in dead]
        if not dead and rules["table_is_swept"]:
            places = dead_places(s)
        for i in places[:1]:
            settle_death(s, case, i)
        if dead or places:
            o["rings"] = 1
        return "settle" if o["dead"] or (rules["table_is_swept"] and (dead or places)) else after
    transaction(case, steps, "settle", settle, at_once)


def is_over(s):
    """As it stands in the table: the pool is closed, and nothing is left to be done."""
    return s["state"] != OPEN and not any(s[S[i]][0] for i in PLACES) and (s["state"] == BROKEN or not s["q"])


def has_forked(s, me):
    return any(parent == me for _, parent, _ in s["kids"])


def nursery(case):
    rules, steps = case.rules, {}
    at_once = "N" not in case.killable
    supervise(case, steps, "strangers", at_once)

    def start(s, o, me):
        if s["nurseries"] < me:
            return None
        is_in_time = rules["nursery_knows_its_guardian"] or GUARDIAN not in s["gone"]
        o.update(others=s["passed"], guardian=GUARDIAN if is_in_time else 0)
        return "register"
    steps["start"] = start

    def register(s, o, me):
        store(s, "nursery", me)
        return "reap"
    transaction(case, steps, "register", register, at_once)

    def strangers(s, o, me):
        if GUARDIAN in s["gone"] and o["guardian"] and rules["strangers_are_settled"]:
            for i in dead_places(s):  # as it stands there
                o["victim"] = (i, s[S[i]][0], s[S[i]][1])
                return "settle stranger"
        return "start missing"
    steps["strangers"] = strangers

    def settle_stranger(s, o, me):
        (i, identity, incarnation), o["victim"] = o["victim"], ()
        slot = s[S[i]]
        is_it = slot[1] == incarnation and (slot[0] == identity or not rules["incarnations_are_not_reused"])
        if slot[0] and (is_it or not rules["settling_compares"]):
            settle_death(s, case, i)
        return "start missing"
    transaction(case, steps, "settle stranger", settle_stranger, at_once)

    def start_missing(s, o, me):
        o["rings"] = 0
        if is_over(s) and not has_forked(s, me):
            s["finished"] = 1
            clear(s, o, me)
            return END
        for i in PLACES:
            if s[S[i]][0]:
                o["starting"] = put(o["starting"], i, 0)
            elif is_missing(s, case, o, i):
                child = s["next_worker"]
                if child == case.end_of_workers:
                    raise Broken("the model has too few workers")
                o["starting"] = put(o["starting"], i, child)
                s.update(next_worker=child + 1, kids=s["kids"] + ((child, me, i),))
        return "asleep"
    steps["start missing"] = start_missing

    def asleep(s, o, me):
        # Once it has found itself without a guardian, it looks every 20 ms.
        is_alone = GUARDIAN in s["gone"] and o["guardian"] and rules["strangers_are_settled"]
        is_alone = is_alone and (dead_places(s) or any(is_missing(s, case, o, i) for i in PLACES))
        if not (s["bell"] or has_zombie(s, me) or is_alone):
            return None
        s["bell"] = 0
        return steps["reap"](s, o, me)
    steps["asleep"] = asleep
    return steps


def is_missing(s, case, o, i):
    """Whether a nursery is to fork a worker for that place."""
    return (case.can_fork and not s[S[i]][0] and is_wanted(s, case, i) and not o["starting"][i]
            and (not o["others"][i] or o["others"][i] in s["gone"]))


def guardian(case):
    steps = {}
    supervise(case, steps, "look after nursery", "G" not in case.killable)

    def look_after_nursery(s, o, me):
        if o["rings"]:
            s["bell"], o["rings"] = 1, 0
        if s["nurseries"] in s["gone"]:
            if is_over(s) and not has_forked(s, me):
                clear(s, o, me)
                return END
            if s["finished"]:
                return "asleep"
            s["nurseries"] += 1
            s["passed"] = o["starting"]
            if s["nurseries"] == case.first_worker:
                raise Broken("the model has too few nurseries")
        return "asleep"
    steps["look after nursery"] = look_after_nursery

    def asleep(s, o, me):
        ended = s["nurseries"] in s["gone"] and s["nurseries"] != o["knows"]
        if ended:
            o["knows"] = s["nurseries"]
        return steps["reap"](s, o, me) if ended or has_zombie(s, me) else None
    steps["asleep"] = asleep
    return steps


# -- the owner --------------------------------------------------------------------------------------------------------

def free_task(s, task, how):
    if s[T[task]][4]:
        store(s, "heap", s["heap"] - 1)
    store(s, T[task], ())
    s.update({B[task]: (), E[task]: (), H[task]: (), "out": put(s["out"], task, how)})


def deliver(s, case, task):
    items_done = s[T[task]][1]
    frames = s[B[task]][:items_done]
    if len(frames) < items_done or any(item != i for i, (_, item) in enumerate(frames)):
        raise Broken("a task does not have one result for each item")
    if any(kind == "value" and not s[E[task]][item] for kind, item in frames):
        raise Broken("a result comes from nowhere")
    free_task(s, task, "settled")


def submitter(case, script):
    """`script` is operations with the number of a task: push 0, withdraw 1, cancel 1 (by kill)."""
    rules, steps = case.rules, {"start": lambda s, o, me: END}

    def withdraw(s, task):
        if s[T[task]][:1] != (WAITING,) and (rules["withdraw_only_what_waits"] or not s[T[task]]):
            return False
        store(s, "q", without(s["q"], task))
        free_task(s, task, "withdrawn")
        return True

    def place_of(s, task):
        return next((i for i in PLACES if s[S[i]][2] == task), -1)

    def add(label, after):
        operation, task = label[:-2], int(label[-1])
        order_label, signal_label, wait_label = (f"{what} {task}" for what in ("order", "signal", "wait for"))

        def push(s, o, me):
            if s["state"] == BROKEN:
                s["out"] = put(s["out"], task, "refused")
                return after
            store(s, T[task], (WAITING, 0, 0, 0, 0))
            wait_again(s, task, False)
            return after

        def cancel(s, o, me):
            if withdraw(s, task) or operation == "withdraw":
                return after
            o["place"] = place_of(s, task)
            return order_label
        transaction(case, steps, label, push if operation == "push" else cancel, True)
        if operation != "cancel":
            return

        def order(s, o, me):
            i = place_of(s, task) if rules["order_compares_the_task"] else o["place"]
            o["place"] = -1
            if i < 0 or not s[S[i]][0]:
                return wait_label
            o.update(victim=s[S[i]][0], has_ordered=1)
            change(s, S[i], order="end")
            if not rules["death_before_settling"]:
                settle_death(s, case, i)
            return signal_label
        transaction(case, steps, order_label, order, True)

        def signal(s, o, me):
            victim, o["victim"] = o["victim"], 0
            if victim not in s["gone"] + s["signalled"]:
                s.update(signalled=tuple(sorted(s["signalled"] + (victim,))), ordered=s["ordered"] + ((victim, task),))
            return wait_label
        steps[signal_label] = signal
        steps[wait_label] = lambda s, o, me: after if s["out"][task] else None
    for label, after in zip(script, script[1:] + (END,)):
        add(label, after)
    return steps


def collector(case):
    """collect(), deliver(), wait_for_results() and look_after_family(). Closes the pool when all is settled."""
    rules, steps = case.rules, {}

    def collect(s, o, me):
        if s["state"] == BROKEN:  # settle_waiting_as_broken()
            for task in s["q"]:
                free_task(s, task, "broken")
            store(s, "q", ())
        if s["fin"]:
            task = s["fin"][0]
            store(s, "fin", s["fin"][1:])
            deliver(s, case, task)
            return "collect"
        if all(s["out"]):
            return "close" if case.closes else END
        s.update(res_flag=1, res=ARMED)
        return "sleep"
    transaction(case, steps, "collect", collect, True)

    def sleep(s, o, me):
        if s["res"] != ARMED:
            return "collect"
        s["res"] = ASLEEP
        return "asleep"

    def asleep(s, o, me):
        if s["res"] != ASLEEP or all(s["out"]):
            return steps["collect"](s, o, me)
        # Every 250 ms.
        if GUARDIAN in s["gone"] and (not s["nursery"] or s["nursery"] in s["gone"]):
            if s["state"] != BROKEN or (rules["broken_pool_is_looked_after"] and dead_places(s)):
                return "look after family"
        return None
    steps.update({"sleep": sleep, "asleep": asleep})

    def look_after_family(s, o, me):
        for i in dead_places(s):
            settle_death(s, case, i)
        s.update(state=BROKEN, wakes=s["wakes"] + ("all", "result"))
        return "collect"
    transaction(case, steps, "look after family", look_after_family, True)

    def close(s, o, me):
        if s["state"] == OPEN:
            s.update(state=CLOSING, wakes=("all",))
        s["bell"] = 1
        return END
    transaction(case, steps, "close", close, True)
    return steps


# -- what is checked --------------------------------------------------------------------------------------------------

def may_be_cancelled(s, task):
    """Whether it waits, or its worker has not been told to be killed for it."""
    return task in s["q"] or any(s[S[i]][2] == task and not s[S[i]][3] for i in PLACES)


def ticks_of(case, allowed):
    """Who goes on by the clock alone, as far as it finds anything. Only those that are `allowed` do."""
    def tick(s, owns):
        found = []
        sweeps = case.rules["table_is_swept"] and dead_places(s)
        for me, own in enumerate(owns):
            at = own["at"]
            if at.startswith("wait for") and case.rules["cancel_is_repeated"] and may_be_cancelled(s, int(at[-1])):
                found.append(("canceller", me, "cancel " + at[-1]))
            elif at != "asleep":
                continue
            elif me >= case.first_worker and s["q"]:
                found.append(("worker", me, "look again"))
            elif me == COLLECTOR and (s["fin"] or s["R"] == DIED):
                found.append(("owner", me, "collect"))
            elif me == GUARDIAN and sweeps:
                found.append(("guardian", me, "reap"))
            elif FIRST_NURSERY <= me < case.first_worker and (sweeps or any(is_missing(s, case, own, i) for i in PLACES)):
                found.append(("nursery", me, "reap"))
        if any(who == "worker" for who, _, _ in found) and "worker" not in allowed:
            return []  # a task waits and a worker sleeps, whoever else might have it done some time
        found = [each for each in found if each[0] in allowed]
        case.ticks.update({who for who, _, _ in found})
        return [(me, label) for _, me, label in found]
    return tick


def final_of(case):
    def final(s, owns):
        """Where nobody can step, and no tick helps."""
        asleep = [me for me in range(case.first_worker, len(owns)) if owns[me]["at"] == "asleep"]
        if not all(s["out"]):
            if dead_places(s):
                return "nobody settles the death of a worker, whose task never ends"
            if any(own["at"] == "user" for own in owns):
                is_ordered = owns[SUBMITTER]["has_ordered"]
                return "a task goes on that " + ("was to be killed" if is_ordered else "cancel() found neither waiting nor taken")
            if s["q"]:
                return "a task waits, and " + ("a worker sleeps" if asleep else "there is no worker")
            return "a task never ends"
        if any(owns[me]["at"] not in (END, "dead") for me in (SUBMITTER, COLLECTOR)):
            return "the owner waits for ever"
        if s["state"] == CLOSING:
            unborn = [me for me, own in enumerate(owns) if own["at"] not in (END, "dead")]
            return "the pool does not end" if any(owns[me]["at"] != "start" for me in unborn) else None
        if s["state"] == BROKEN or all(own["at"] != "asleep" for own in owns[GUARDIAN:case.first_worker]):
            return None
        if dead_places(s):
            return "a dead worker keeps its place"
        if case.can_fork and len(asleep) != case.target:
            return "a place stays without a worker"
        return None
    return final


def check(*script, upfront=(), items=(1, 1), retries=0, hangs=(), limit=0, target=2, looks=PLACES, kills=2, killable="W",
          spares=4, collects=False, closes=False, asks_attempt=False, newborn=False, replaced=False, alone=False, rivals=False,
          ticks=(), **changed):
    """`script` is the submitter's; `upfront` tasks wait already, `hangs` never end. `target` workers, of which each does `limit`
    items (0: any number), and those at the places `looks` look before they sleep; `spares` more can be forked. `killable`: W
    workers, N nurseries, G guardian. Without `collects` the owner has each result at once. `ticks`: who may need one.

    Beginnings: `newborn`, the first nursery has just been forked; `replaced`, the workers are the nursery's children; `alone`,
    the guardian is dead; `rivals`, a dead nursery and this one have each forked a worker for the first place.
    """
    born = 2 if rivals else target
    first = FIRST_NURSERY + 1 + kills * ("N" in killable)
    case = SimpleNamespace(rules={**RULES, **changed}, items=items, retries=retries, hangs=hangs, limit=limit, target=target,
                           looks=looks, killable=killable, collects=collects, closes=closes, asks_attempt=asks_attempt,
                           can_fork=spares > 0, first_worker=first, end_of_workers=first + born + spares, ticks=Counter())
    workers = tuple(first + i if i < target and not rivals else 0 for i in PLACES)
    starting = (0, 0) if replaced else workers  # the guardian's: it has not looked since
    pushed = [int(operation[-1]) for operation in script if operation.startswith("push")]
    kids = tuple((child, FIRST_NURSERY if replaced else GUARDIAN, i) for i, child in enumerate(workers) if child)
    shared = {"R": 0, "log": (), "wakes": (), "q": tuple(upfront), "fin": (), "heap": 0, "last": target, "look": (),
              "state": OPEN, "nursery": 0 if newborn else FIRST_NURSERY, "flag": 0, "armed": (), "asleep": (), "res_flag": 0,
              "res": 0, "bell": 0, "kids": kids, "gone": (GUARDIAN,) if alone else (), "signalled": (), "ordered": (),
              "next_worker": first + born, "nurseries": FIRST_NURSERY, "passed": starting, "finished": 0, "having": (0, 0),
              "out": tuple("" if t in pushed or t in upfront else "none" for t in PLACES)}
    for i in PLACES:
        shared.update({S[i]: (workers[i], i + 1 if workers[i] else 0, -1, "", 0), P[i]: 0, B[i]: (),
                       T[i]: (WAITING, 0, 0, 0, 0) if i in upfront else (), E[i]: (0,) * items[i], H[i]: (0,) * items[i]})
    if rivals:
        shared["kids"] = ((first, GUARDIAN, 0), (first + 1, FIRST_NURSERY, 0))
    own = {"place": -1, "then": "", "left": limit, "kept": 0, "hangs": 0}
    supervisor = {"then": "", "dead": (), "starting": (0, 0), "others": starting, "guardian": GUARDIAN, "victim": (), "rings": 0,
                  "knows": 0}
    nursery_steps, worker_steps = nursery(case), worker(case)
    processes = [(submitter(case, script), {"at": script[0] if script else END, "place": -1, "victim": 0, "has_ordered": 0}),
                 (collector(case), {"at": "collect" if collects else END}),
                 (guardian(case), {**supervisor, "at": "dead" if alone else "asleep", "starting": starting})]
    processes += [(nursery_steps, {**supervisor, "starting": (first + 1, 0) if rivals else (0, 0),
                                   "at": "start" if n or newborn else "asleep"}) for n in range(first - FIRST_NURSERY)]
    processes += [(worker_steps, {**own, "at": "next", "place": i}) for i in range(0 if rivals else target)]
    processes += [(worker_steps, own) for _ in range(spares + born * rivals)]
    kinds = {"G": (GUARDIAN,), "N": range(FIRST_NURSERY, first), "W": range(first, len(processes))}
    spared = set(range(len(processes))).difference(*(kinds[kind] for kind in killable))
    # Nobody sees where a worker is in a task, nor whether what it has stored is committed: but who kills it for the task.
    local = {"begin", "user", "result", "item ends"} | {label for label in worker_steps if label.endswith("commit")}
    if any(operation.startswith("cancel") for operation in script):
        local = ()
    return case, explore(shared, processes, kills, final=final_of(case), spared=spared, strike=strike(case), local=local,
                         tick=ticks_of(case, ticks), must_end=True)


def main():
    suite = Suite("pool")
    suite.figures["states_that_only_a_tick_ends"] = 0

    def expect(name, checked, flaw=None):
        case, result = checked
        suite.expect(name, result, flaw)
        if case.ticks:
            print("     only a tick goes on: " + ", ".join(f"{count} of {who}" for who, count in sorted(case.ticks.items())))
            suite.figures["states_that_only_a_tick_ends"] += sum(case.ticks.values())
    two, first = ("push 0", "push 1"), ("push 0",)

    # The protocol.
    expect("two tasks, two workers that look, 2 kills", check(*two))
    expect("two tasks, one worker that looks and one that does not, 1 kill", check(*two, looks=(0,), kills=1))
    expect("a run of two and a task, retries 1, 1 kill", check(upfront=(0, 1), items=(2, 1), retries=1, kills=1))
    expect("a run of two, retries 1, one worker, 3 kills", check(*first, items=(2, 1), retries=1, target=1, kills=3))
    expect("two tasks, an owner who collects, 1 kill", check(*two, collects=True, kills=1))
    expect("two tasks, one is withdrawn, 1 kill", check(*two, "withdraw 0", kills=1))
    expect("two tasks, one is cancelled by kill", check(*two, "cancel 0", kills=0))
    expect("two tasks, 2 kills of nurseries", check(*two, killable="N"))
    expect("a task, 2 kills of workers and the guardian", check(*first, killable="WG"))
    expect("a task, and the pool is closed, 1 kill", check(*first, collects=True, closes=True, kills=1))
    expect("workers that leave after an item, a nursery is killed",
           check(upfront=(0, 1), items=(2, 1), limit=1, target=1, killable="N", kills=1, ticks=("nursery",)))

    expect("two tasks, 2 kills of workers and nurseries", check(upfront=(0, 1), killable="WN", replaced=True))
    expect("a task, 2 kills of workers, nurseries and the guardian",
           check(*first, target=1, collects=True, killable="WNG", ticks=("owner",)))
    expect("two tasks, workers that leave after one, 1 kill", check(*two, limit=1, kills=1, replaced=True))
    expect("a run of two and a task, one worker, 3 kills", check(upfront=(0, 1), items=(2, 1), target=1, kills=3))
    expect("a task is cancelled by kill, 1 kill", check(*first, "cancel 0", kills=1, replaced=True))
    expect("a task without an end is cancelled by kill, retries 1, 2 kills of workers and nurseries",
           check(*first, "cancel 0", hangs=(0,), retries=1, target=1, killable="WN", spares=8, ticks=("canceller",)))
    expect("a run without an end, a worker that leaves in it, is cancelled by kill, 1 kill",
           check(*first, "cancel 0", hangs=(0,), items=(2, 1), limit=1, target=1, replaced=True, kills=1, spares=6,
                 ticks=("canceller",)))
    expect("a task, and the pool is closed, 2 kills of workers and nurseries",
           check(*first, target=1, collects=True, closes=True, killable="WN"))

    # What each of the rules is for.
    often, early = "more often than it may be tried", "before its attempts are used up"
    place, sleeps = "the place of a living worker is not its own", "a task waits, and a worker sleeps"
    nobody, innocent = "nobody settles the death of a worker", "killed for a task that it does not have"
    expect("progress that the take does not log", check(upfront=(0, 1), target=1, kills=1, take_logs_progress=False), often)
    expect("a task that is in no place between finish and take",
           check(*first, target=1, kills=0, finish_and_take_are_one_commit=False), "a task is lost")
    expect("an attempt that the worker counts", check(*first, target=1, take_counts_the_attempt=False), often)
    expect("attempts that go on with the next item",
           check(*first, items=(2, 1), retries=1, limit=1, target=1, kills=1, attempts_end_with_the_item=False), early)
    expect("a later item that dies with the attempts of the first",
           check(*first, items=(2, 1), retries=1, target=1, later_items_are_new=False), early)
    expect("a death before the entry that costs an attempt",
           check(*first, retries=1, target=1, entry_costs_the_attempt=False), early)
    expect("a death that is counted without its frame",
           check(*first, target=1, kills=1, death_has_a_frame=False), "one result for each item")
    expect("a worker that is settled when it is ordered to be killed",
           check(*first, "cancel 0", target=1, kills=0, death_before_settling=False), place)
    expect("a death that wakes nobody, where no process can be forked",
           check(*first, kills=1, spares=0, settling_wakes=False), sleeps)
    expect("a settler that does not compare the incarnation",
           check(*first, target=1, kills=1, alone=True, rivals=True, table_is_swept=False, settling_compares=False), place)
    expect("a nursery without a guardian that looks after its own workers only",
           check(*first, target=1, killable="WG", table_is_swept=False, strangers_are_settled=False), nobody)
    expect("results that stay with the worker",
           check(*first, items=(2, 1), target=1, kills=0, blocks_are_handed_over=False), "without a task has results")
    expect("a claim of a place that is taken",
           check(upfront=(0,), target=1, killable="WN", claim_needs_a_free_place=False), place)
    expect("a looker that sleeps, and its flag says that it looks", check(*two, kills=0, looker_says_when_it_ends=False), sleeps)
    expect("a looker that clears its flag, and sleeps without a look", check(*first, kills=0, looker_looks_again=False), sleeps)
    expect("a task that is withdrawn from a worker",
           check(*first, "withdraw 0", kills=0, withdraw_only_what_waits=False), "a task is lost")
    expect("an order to whoever had the task",
           check(*two, "cancel 0", target=1, kills=0, order_compares_the_task=False), innocent)
    expect("a worker that takes a task though it is to be killed",
           check(*two, "cancel 0", target=1, kills=0, order_before_take=False), innocent)

    expect("a task that waits again, though its worker was killed for it",
           check(*first, "cancel 0", hangs=(0,), target=1, kills=0, cancel_is_repeated=False, order_ends_the_task=False),
           "was to be killed")

    expect("a worker dies while it leaves, and is not in the table as it stands then",
           check(*two, limit=1, kills=1, replaced=True, table_is_swept=False), nobody)
    expect("the same, and only the library has killed",
           check(*first, "cancel 0", target=1, kills=0, replaced=True, table_is_swept=False), nobody)
    expect("a nursery dies with a death that it has reaped",
           check(*first, target=1, killable="WN", replaced=True, table_is_swept=False), nobody)
    expect("a nursery whose guardian dies at its birth",
           check(*first, target=1, killable="WG", newborn=True, table_is_swept=False, nursery_knows_its_guardian=False), nobody)
    expect("an incarnation that was given, taken back with a claim, and given again",
           check(*first, target=1, kills=1, alone=True, rivals=True, table_is_swept=False, incarnations_are_not_reused=False),
           place)
    expect("a worker of a dead nursery leaves, and nobody rings",
           check(*first, upfront=(1,), limit=1, target=1, killable="N", kills=1, bell_for_every_worker=False),
           "a place stays without a worker")
    expect("two items of a run die, one after the other",
           check(*first, items=(2, 1), target=1, room_before_entry=False), "no room for how a worker has died")
    expect("a task is given back between cancel() and the order",
           check(*first, "cancel 0", hangs=(0,), retries=1, target=1, kills=1, cancel_is_repeated=False),
           "neither waiting nor taken")
    expect("a worker dies in a pool that is broken",
           check(*first, "cancel 0", hangs=(0,), target=1, collects=True, killable="N", kills=1, alone=True,
                 ticks=("canceller", "owner"), broken_pool_is_looked_after=False), nobody)
    expect("the attempt that a task is told, behind an item that was tried again",
           check(*first, items=(2, 1), retries=1, target=1, kills=1, asks_attempt=True, attempt_is_the_item_s=False),
           "another item's attempt")
    return suite.finish()


if __name__ == "__main__":
    sys.exit(main())
