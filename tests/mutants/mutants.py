# SPDX-License-Identifier: BSL-1.0
"""Deliberately broken code, one rule at a time, and which test has to notice: see run_mutants.py.

  file      what is changed: `old`, which is there once, becomes `new`
  compile   for a header: what is compiled again with it
  program   the test program that is linked anew
  rows      rows of the crash table, by a part of their name
  cases     or test cases, as doctest takes them (* is anything)
  may_hang  the watchdog counts as noticing
  always    done by every run
"""
ROOT_TRANSACTION = "src/txn/root_transaction.cpp"
ROOT_RECOVERY = "src/txn/root_recovery.cpp"
ROOT_TRANSACTION_HEADER = "include/cairn/detail/txn/root_transaction.hpp"
READERS_TEST = "tests/unit/containers/list_readers_test.cpp"

MUTANTS = [
    # -- the undo log -----------------------------------------------------------------------------------------------------
    {
        "name": "a store without its undo entry", "always": True,
        "file": "src/containers/list_core.cpp",
        "old": "    tx.store(node.size, last);\n",
        "new": "    store_word(node.size, last);\n",
        "program": "crash", "rows": "list<str> pop, a long one",
    },
    {
        "name": "an undo record that counts before it is there",
        "file": ROOT_TRANSACTION_HEADER,
        "old": """            store_word(record[0], old);
            store_word(record[1], log_record_word(segment_.offset_of(&to), sizeof(T)));
            head_ += 16;
            order_stores();  // the record is whole before it counts
            store_word(slot_.log_head, head_);
""",
        "new": """            head_ += 16;
            store_word(slot_.log_head, head_);
            order_stores();
            store_word(record[0], old);
            store_word(record[1], log_record_word(segment_.offset_of(&to), sizeof(T)));
""",
        "compile": ["src/containers/list_core.cpp"],
        "program": "crash", "rows": "list<str> pop, a long one",
    },
    {
        "name": "a store before its record counts",
        "file": ROOT_TRANSACTION_HEADER,
        "old": """            store_word(slot_.log_head, head_);
            order_stores();  // and counts before the word changes
""",
        "new": """            store_word(to, value);
            order_stores();
            store_word(slot_.log_head, head_);
""",
        "compile": ["src/containers/list_core.cpp"],
        "program": "crash", "rows": "list<str> pop, a long one",
    },
    {
        "name": "the commit before the last store", "always": True,
        "file": "src/containers/list_operations.cpp",
        "old": "    for (std::uint64_t& chunk : node.chunks) tx.store(chunk, 0);\n    commit_and_finish(tx);\n",
        "new": "    tx.commit();\n    for (std::uint64_t& chunk : node.chunks) store_word(chunk, 0);\n"
               "    commit_and_finish(tx);\n",
        "program": "crash", "rows": "list<char> clear, two chunks",
    },
    {
        "name": "a rollback that a scope without a commit forgets",
        "file": ROOT_TRANSACTION,
        "old": "        } else if (head_ != 0) roll_back();\n        else if (unsettled_) settle_in_any_case();\n",
        "new": "        } else if (unsettled_) settle_in_any_case();\n        store_word(slot_.log_head, 0);\n",
        "program": "unit", "cases": "a transaction that goes out of scope without a commit leaves nothing",
    },
    {
        "name": "a free block's link that is not logged when the block is taken",
        "file": "src/arena/arena.cpp",
        "old": """                tx.log(&link, sizeof link);  // its new owner overwrites it
                tx.store(arena.loose_free[size_class], next);
""",
        "new": "                tx.store(arena.loose_free[size_class], next);\n",
        "program": "crash", "rows": "list<str> push_back, into a freed block",
    },
    # -- recovery -----------------------------------------------------------------------------------------------------------
    {
        "name": "a death of the lock's owner that is ignored",
        "file": ROOT_TRANSACTION,
        "old": "    const bool owner_died = result == EOWNERDEAD;\n",
        "new": "    const bool owner_died = false;\n",
        "program": "crash", "rows": "list<str> pop, a long one",
    },
    {
        "name": "a recovery that leaves the version odd",
        "file": ROOT_RECOVERY,
        "old": "    wake_everyone(slot_);\n    make_even(slot_);\n    changing_ =",
        "new": "    wake_everyone(slot_);\n    changing_ =",
        "program": "crash", "rows": "list<str> pop, a long one",
    },
    {
        "name": "a stored operation that nobody finishes",
        "file": ROOT_RECOVERY,
        "old": "            const unlimited_locks however_long;\n            finish_stored_operation(*this);\n",
        "new": "",
        "program": "crash", "rows": "list<char> erase, a range across chunks",
    },
    {
        "name": "a segment's log that is not replayed",
        "file": "src/segment/segment_guard.cpp",
        "old": "    roll_back();\n    recover_tail(segment_);\n",
        "new": "    store_word(control().log_bytes, 0);\n    recover_tail(segment_);\n",
        "program": "crash", "rows": "manager remove<int64>, a few elements",
    },
    {
        "name": "a root that was being made and that nobody takes away",
        "file": "src/segment/segment_guard.cpp",
        "old": "    recover_tail(segment_);\n    finish_pending_roots(*this);\n",
        "new": "    recover_tail(segment_);\n    store_word(control().pending_slot, 0);\n",
        "program": "crash", "rows": "manager list<int64>, with contents",
    },
    {
        "name": "of several roots that were being made, all but the last one lost",
        "file": "src/segment/directory.cpp",
        "old": "        guard.store(control.pending_slot, slot.next_free_slot);\n",
        "new": "        guard.store(control.pending_slot, 0);\n",
        "program": "crash", "rows": "manager sharded_dict<int64, int64>, empty",
    },
    {
        "name": "an object whose parts are not removed with it",
        "file": "src/segment/directory.cpp",
        "old": "    for (root_slot* const part : parts) end(*part);\n",
        "new": "",
        "program": "crash", "rows": "manager remove sharded_dict<int64, int64>, empty",
    },
    # -- extents ------------------------------------------------------------------------------------------------------------
    {
        "name": "an extent in doubt that is kept", "always": True,
        "file": ROOT_RECOVERY,
        "old": "        while (load_word(slot_.extents) != load_word(slot_.settled)) {\n",
        "new": "        while (false) {\n",
        "program": "crash", "rows": "list<str> set, pages to pages",
    },
    {
        "name": "a rollback that does not say so before the log goes",
        "file": ROOT_RECOVERY,
        "old": "            store_word(slot_.rolling_back, 1);\n",
        "new": "",
        "program": "crash", "rows": "list<str> set, pages to pages",
    },
    {
        "name": "unlinked pages that are not given back",
        "file": ROOT_RECOVERY,
        "old": "    while (slot_.pending_free != 0) {\n",
        "new": "    while (false) {\n",
        "program": "crash", "rows": "list<str> set, pages to short",
    },
    {
        "name": "pages that the system was not asked for",
        "file": "src/os/file.cpp",
        "old": """            written = ::pwritev(fd, pieces.data(), static_cast<int>(count), at);
            return written < 0 ? -1 : 0;
""",
        "new": """            struct stat status = {};
            if (::fstat(fd, &status) != 0) return -1;
            const auto end = static_cast<off_t>(offset + bytes);
            written = static_cast<ssize_t>(bytes - done);
            return status.st_size >= end ? 0 : ::ftruncate(fd, end);
""",
        "program": "process", "cases": "a file system that is full before the maximum is segment_full*",
    },
    # -- readers ------------------------------------------------------------------------------------------------------------
    {
        "name": "a reader that does not look at the version again", "always": True,
        "file": "include/cairn/detail/txn/reading.hpp",
        "old": "        return load_word(slot_.version) == version_;\n",
        "new": "        return true;\n",
        "compile": [READERS_TEST],
        "program": "unit", "cases": "readers never see a torn element beside writers*",
    },
    {
        "name": "a writer that does not make the version odd",
        "file": ROOT_TRANSACTION_HEADER,
        "old": "    changing_ = true;\n    store_word(slot_.version, load_word(slot_.version) | 1);\n",
        "new": "",
        "compile": [READERS_TEST, "src/containers/list_core.cpp", "src/containers/list_operations.cpp"],
        "program": "unit", "cases": "readers never see a torn element beside writers*",
    },
    {
        "name": "a word that is overwritten without moving the version",
        "file": ROOT_TRANSACTION_HEADER,
        "old": "        __atomic_store_n(&slot_.version, load_word(slot_.version) + 2, __ATOMIC_RELEASE);\n",
        "new": "",
        "compile": [READERS_TEST],
        "program": "unit", "cases": "remove never takes an element that another thread has just set*",
    },
    # -- names and participants ---------------------------------------------------------------------------------------------
    {
        "name": "participants known by their pid only",
        "file": "src/os/identity.cpp",
        "old": "    return same_process(make_identity(pid, facts), identity);\n",
        "new": "    return true;\n",
        "program": "process", "cases": "a process that has become another program counts as killed",
    },
    {
        "name": "a name that is taken away without a look at whose it is",
        "file": "src/segment/lifecycle.cpp",
        "old": "    if (!reason && named.same_file(own.file)) reason",
        "new": "    if (!reason) reason",
        "program": "unit", "cases": "unlink is at once, can be repeated, and who is attached goes on*",
    },
    {
        "name": "a remover's work that nobody finishes",
        "file": "src/segment/lifecycle.cpp",
        "old": "        retire(guard);  // helps a remover that died before the unlink\n",
        "new": "",
        "program": "crash", "rows": "segment unlink by somebody else", "may_hang": True,
    },
    {
        "name": "living participants that are not counted",
        "file": "src/segment/participants.cpp",
        "old": "        if (identity != 0 && (identity == self || !is_dead(s, identity))) ++alive;\n",
        "new": "        if (identity != 0 && identity == self) ++alive;\n",
        "program": "unit", "cases": "collecting removes what only the dead have left*",
    },
    {
        "name": "living participants that do not count as attached",
        "file": "src/segment/participants.cpp",
        "old": "        if (identity == self || !is_dead(s, identity)) return true;\n",
        "new": "        if (identity == self) return true;\n",
        "program": "unit", "cases": "open_or_create: removed when the last process goes, not before",
    },
    {
        "name": "a segment that is not marked before its name goes",
        "file": "src/segment/lifecycle.cpp",
        "old": "    store_word(guard.control().retired, 1);\n",
        "new": "    store_word(guard.control().retired, 0);\n",
        "program": "process", "cases": "who has opened the file of a segment before its name was taken away*",
    },
    # -- waiting ----------------------------------------------------------------------------------------------------------
    {
        "name": "a sleep without its tick", "always": True,
        "file": "src/txn/events.cpp",
        "old": "std::min(deadline, next_tick())",
        "new": "deadline",
        "program": "unit", "cases": "a sleep ends by its tick although its deadline is far*",
    },
    {
        "name": "a wake that does not move the sequence",
        "file": "src/txn/events.cpp",
        "old": """    __atomic_fetch_add(&e.sequence, 1,
                       __ATOMIC_RELAXED);  // relaxed""",
        "new": """    __atomic_fetch_add(&e.sequence, 0,
                       __ATOMIC_RELAXED);  // relaxed""",
        "program": "unit", "cases": "a sequence that has moved on since it was read is no sleep at all",
    },
    # -- dicts ------------------------------------------------------------------------------------------------------------
    {
        "name": "entries of a directory that are replaced without a record",
        "file": "src/containers/dict_growth.cpp",
        "old": "        tx_.store(entries[first + i], i < (count + 1) / 2 ? zeros : ones);\n",
        "new": "        store_word(entries[first + i], i < (count + 1) / 2 ? zeros : ones);\n",
        "program": "crash", "rows": "dict<int64, int64> set, the first",
    },
    {
        "name": "an erased record that the order still knows",
        "file": "src/containers/dict_order.cpp",
        "old": "    tx_.store(*cell, 0);\n    has_erased_",
        "new": "    has_erased_",
        "program": "crash", "rows": "dict<int64, int64> erase",
    },
    # -- queues -----------------------------------------------------------------------------------------------------------
    {
        "name": "an early copy that counts though something was rolled back",
        "file": "include/cairn/detail/containers/early_copy.hpp",
        "old": " && load_word(slot.rolled_back_count) == rolled_back_;",
        "new": " && slot.rolled_back_count >= rolled_back_;",
        "compile": ["tests/unit/containers/queue_early_test.cpp"],
        "program": "unit", "cases": "what was copied early counts no more after a rollback*",
    },
    {
        "name": "an insert of words without its record of the sequence",
        "file": "include/cairn/detail/containers/dict_core.hpp",
        "old": "    tx_.store(node_.next_sequence, sequence + 1);\n    tx_.store(node_.size, node_.size + 1);\n    looked_in_",
        "new": "    store_word(node_.next_sequence, sequence + 1);\n    tx_.store(node_.size, node_.size + 1);\n    looked_in_",
        "compile": ["tests/crash/dict_rows.cpp"],
        "program": "crash", "rows": "dict<int64, int64> set, a new key",
    },
    # -- transactions -----------------------------------------------------------------------------------------------------
    {
        "name": "a place that a transaction writes over without a record",
        "file": "src/containers/list_operations.cpp",
        "old": "    tx.log_if_joined(to, links.geometry.stride);\n",
        "new": "",
        "program": "crash", "rows": "list<int64> transaction, erased, inserted, extended, and thrown",
    },
    {
        "name": "a block that is freed in the middle of a transaction",
        "file": "src/arena/arena.cpp",
        "old": "    if (tx.has_joined()) return tx.free_later(block, bytes);\n",
        "new": "",
        "program": "crash", "rows": "dict<str, str> transaction, erased and inserted, and thrown",
    },
    {
        "name": "an operation that fails in a transaction, and is not undone",
        "file": ROOT_TRANSACTION,
        "old": "        if (!is_done && !is_poisoned(slot_)) roll_back_to(joining_.began);\n",
        "new": "        static_cast<void>(is_done);\n",
        "program": "unit", "cases": "transactions of a list in a segment that is too small*",
    },
    # -- damage -----------------------------------------------------------------------------------------------------------
    {
        "name": "an undo log that restores whatever it names",
        "file": "src/segment/undo_log.cpp",
        "old": "offset < s.data_offset() || !root_may_restore(s, *log.root, offset, bytes)",
        "new": "false",
        "program": "hostile", "cases": "the undo log of an object cannot name anything but*",
    },
    # -- locks ----------------------------------------------------------------------------------------------------------------
    {
        "name": "a mark on a lock that does not compare the count",
        "file": "src/os/robust_mutex.cpp",
        "old": "    __atomic_compare_exchange_n(&m.word, &word, marked, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);\n",
        "new": "    __atomic_store_n(&m.word, marked, __ATOMIC_RELAXED);\n",
        "program": "unit", "cases": "a holder of whom the participants know nothing any more is nobody*",
    },
    {
        "name": "a holder that is judged by what belongs to another acquisition",
        "file": "src/os/robust_mutex.cpp",
        "old": "    if (holder_count(__atomic_load_n(&m.told, __ATOMIC_ACQUIRE)) != count_half(word)) return false;\n",
        "new": "",
        "program": "unit", "cases": "a holder of whom the participants know nothing any more is nobody*",
    },
    {
        "name": "a limit that a wait for a lock does not keep",
        "file": "src/os/lock_limit.cpp",
        "old": "    if (!limit_.is_any()) return wait_end::none;\n",
        "new": "    return wait_end::none;\n",
        "program": "unit", "cases": "a holder of whom the participants know nothing any more is nobody*", "may_hang": True,
    },
    {
        "name": "what is left unfinished is not marked",
        "file": ROOT_TRANSACTION,
        "old": "        unlock_unfinished(slot_.lock);\n    }\n    order_stores();\n",
        "new": "        unlock(slot_.lock);\n    }\n    order_stores();\n",
        "program": "process", "cases": "the segment's lock, too, is not waited for beyond a limit",
    },
    # -- what the dead have ---------------------------------------------------------------------------------------------------
    {
        "name": "roots that are given back while their builder lives",
        "file": "src/segment/directory.cpp",
        "old": "lock.thread_id != 0 && !lock.owner_died) {",
        "new": "lock.thread_id == thread_of(s.own_token()) && !lock.owner_died) {",
        "program": "process", "cases": "while long first contents are built*",
    },
    {
        "name": "roots that a dead builder keeps",
        "file": "src/segment/segment_guard.cpp",
        "old": "        if (load_word(control().building_slot) != 0) finish_abandoned_roots(*this);\n",
        "new": "",
        "program": "process", "cases": "what a builder had that was killed*",
    },
    {
        "name": "leases of the dead that only an empty queue looks for",
        "file": "src/containers/queue_leases.cpp",
        "old": "    if (now < next && next - now <= interval) return false;\n",
        "new": "    if (now != 0) return false;\n",
        "program": "process", "cases": "an item of a dead worker comes back also*",
    },
    {
        "name": "a name that moves to another bucket without its record",
        "file": "src/segment/name_table.cpp",
        "old": "        guard.store(*link, slot.next_in_bucket);\n",
        "new": "        store_word(*link, slot.next_in_bucket);\n",
        "program": "crash", "rows": "with a level of names",
    },
    {
        "name": "a sparse table that is not given back",
        "file": "src/containers/dict_growth.cpp",
        "old": "        deallocate(tx_, entry_table(entry), table_bytes(groups, record_bytes));\n        tx_.commit();\n",
        "new": "        tx_.commit();\n",
        "program": "crash", "rows": "a table that becomes sparse",
    },
    {
        "name": "more dead holders of leases than participants, taken for damage",
        "file": "src/containers/queue_leases.cpp",
        "old": "            if (holders.size() == most_participant_slots) return read_result::done;",
        "new": "            if (holders.size() > s.header().participant_count) return read_result::torn;",
        "program": "process", "cases": "more workers die between*",
    },
    # -- pages that go back ------------------------------------------------------------------------------------------------
    {
        "name": "holes that are handed out as they are",
        "file": "src/segment/extents.cpp",
        "old": "    if (plan.first != no_page && load_word(guard.control().holes_from) != 0)\n",
        "new": "    if (plan.first != no_page && s.page_offset(0) == 0)\n",
        "program": "process", "cases": "what was given back is there again*",
    },
    # -- two roots --------------------------------------------------------------------------------------------------------
    {
        "name": "a root that others ask, and that is not settled",
        "file": "src/txn/root_recovery.cpp",
        "old": "        if (__atomic_load_n(&second->decided_root, __ATOMIC_ACQUIRE) == own) {\n",
        "new": "        if (__atomic_load_n(&second->decided_root, __ATOMIC_ACQUIRE) == own + 1) {\n",
        "program": "crash", "rows": "transaction over list<int64> and dict<int64, int64>, moved",
    },
    {
        "name": "a log that decides for itself",
        "file": "src/txn/root_recovery.cpp",
        "old": "load_word(slot_.rolling_back) == 0 && is_decided(segment_, slot_)) {\n",
        "new": "load_word(slot_.rolling_back) == 0 && slot_.decided_root > segment_.slot_number(slot_) + 1U) {\n",
        "program": "unit", "cases": "a transaction over two whose process died*",
    },
    {
        "name": "a number that is not taken back",
        "file": "src/containers/once_table.cpp",
        "old": "    tx.store(last, id.sequence);\n",
        "new": "    store_word(last, id.sequence);\n",
        "program": "crash", "rows": "once: append by",
    },
    {
        "name": "a number that is stored too late",
        "file": "src/containers/once_table.cpp",
        "old": "    return numbering::noted;\n",
        "new": "    tx.commit();\n    return numbering::noted;\n",
        "program": "crash", "rows": "once: append by",
    },
    # -- values -----------------------------------------------------------------------------------------------------------
    {
        "name": "a transaction that does not hold the word of a value",
        "file": "src/containers/value_cell.cpp",
        "old": "    held_cell held(slot, tx.has_joined());\n",
        "new": "    held_cell held(slot, tx.has_joined());\n    if (tx.has_joined()) store_word(slot.cell.control, slot.cell.control + 1);\n",
        "program": "unit", "cases": "threads that count lose nothing*",
    },
    {
        "name": "a value whose word a transaction has read and others change",
        "file": "src/containers/value_cell.cpp",
        "old": "        if (may_join(slot)) hold_cell(slot);\n",
        "new": "",
        "program": "unit", "cases": "threads that count lose nothing*",
    },
    {
        "name": "a value in the place of another one that begins its count anew",
        "file": "src/containers/value_cell.cpp",
        "old": "        if (replace_cell(slot.cell, seen, value, (seen.control | cell_is_held) + 1)) return;\n",
        "new": "        if (replace_cell(slot.cell, seen, value, 0)) return;\n",
        "program": "unit", "cases": "a value in the place of a removed one*",
    },
    {
        "name": "an initializer that counts as done before it is",
        "file": "src/sync/once.cpp",
        "old": "    require_not_inside();\n    lock_.lock();\n",
        "new": "    require_not_inside();\n    lock_.lock();\n    say_done();\n",
        "program": "unit", "cases": "an initializer that throws leaves it*",
    },
    {
        "name": "a decision that stays",
        "file": "src/txn/root_recovery.cpp",
        "old": "    __atomic_store_n(&slot_.decided_root, 0, __ATOMIC_RELEASE);\n",
        "new": "",
        "program": "unit", "cases": "an item goes from a queue to a dict*",
    },
    {
        "name": "a mark that comes after the first record",
        "file": "src/containers/pair_transaction.cpp",
        "old": "    store_word(first.outstanding, std::uint64_t{s.slot_number(second)} + 1);\n",
        "new": "",
        "program": "crash", "rows": "transaction over list<int64> and dict<int64, int64>, moved",
    },
    {
        "name": "an inspector that takes back what was committed over two roots",
        "file": "src/inspect/recovery.cpp",
        "old": "        if (slot.rolling_back == 0 && !is_decided(s, slot)) {\n",
        "new": "        if (slot.rolling_back == 0) {\n",
        "program": "unit", "cases": "a transaction over two whose process died*",
    },
    {
        "name": "growth of a failed operation that is kept",
        "file": "src/txn/root_transaction.cpp",
        "old": "    if (gives_back && is_finished) give_back_growth(segment_, pages_before_);\n",
        "new": "",
        "program": "process", "cases": "what a segment has grown by*",
    },
    {
        "name": "a run that leaves crumbs before it",
        "file": "src/segment/extents.cpp",
        "old": "        const std::uint32_t first = first_of_free_run(s, link - 1, pages);\n",
        "new": "        const std::uint32_t first = link - 1;\n",
        "program": "unit", "cases": "runs of any length fill*",
    },
    # -- blocks that move ----------------------------------------------------------------------------------------------------
    {
        "name": "a block that moves without a record of where it was",
        "file": "src/containers/list_moving.cpp",
        "old": "    tx.store(slot.first, to);\n",
        "new": "    store_word(slot.first, to);\n",
        "program": "crash", "rows": "list<str> push_back, moving blocks",
    },
    {
        "name": "a block whose old pages are kept",
        "file": "src/containers/list_moving.cpp",
        "old": "    tx.free_pages(move.block.page, move.block.count);\n",
        "new": "",
        "program": "unit", "cases": "each operation that adds brings pages together*",
    },
    # -- pools -------------------------------------------------------------------------------------------------------------
    {
        "name": "what was done of a run, overwritten by a take that is taken back",
        "file": "src/pool/pool_core.cpp",
        "old": "    tx.store(self.progress, std::uint64_t{2} * task.items_done);\n",
        "new": "    store_word(self.progress, std::uint64_t{2} * task.items_done);\n",
        "program": "crash", "rows": "pool finish, and the next",
    },
    {
        "name": "a death before the task is entered that costs an attempt",
        "file": "src/pool/pool_core.cpp",
        "old": "is_begun ? attempts : attempts - 1",
        "new": "attempts",
        "program": "unit", "cases": "a death before the task is entered*",
    },
    {
        "name": "a worker that looks, and that every push counts on",
        "file": "src/pool/pool_core.cpp",
        "old": "        store_word(slot.is_looking, 0);\n        return;\n",
        "new": "        return;\n",
        "program": "unit", "cases": "a push counts on one worker*",
    },
    {
        "name": "no room kept for how the next worker dies",
        "file": "src/pool/worker.cpp",
        "old": "        if (end_ + death_frame_bytes > capacity()) {\n",
        "new": "        if (end_ > capacity()) {\n",
        "program": "process", "cases": "several items of one chunk*",
    },
    {
        "name": "a cancel that takes what has just come to its pool for what nobody has",
        "file": "src/executors/local_state.cpp",
        "old": "        if (!is_asked) continue;\n",
        "new": "",
        "program": "process", "cases": "cancel() is interrupted*",
    },
    {
        "name": "what was cancelled is submitted all the same",
        "file": "src/pool/process_pool_submitting.cpp",
        "old": "        if (task_access::stage(*task) != word_stage::pending) return;\n        task_access::core(*task) = this;\n",
        "new": "        task_access::core(*task) = this;\n",
        "program": "process", "cases": "cancel() is interrupted*",
    },
    {
        "name": "what was cancelled waits in its executor of threads all the same",
        "file": "src/executors/thread_pool_submit.cpp",
        "old": "    if (task_access::stage(queued) != word_stage::pending) return;  // cancelled or expired meanwhile\n",
        "new": "",
        "program": "unit", "cases": "what follows and was cancelled before*",
    },
    {
        "name": "a task that gets no timer for its expiry stays in the pool",
        "file": "src/pool/process_pool_submitting.cpp",
        "old": "        if (is_submitted) {\n",
        "new": "        if (false) {\n",
        "program": "fault", "cases": "no thread for the timer*", "may_hang": True,
    },
    {
        "name": "terminate() waits for a worker that is stopped with the pool's lock",
        "file": "src/pool/process_pool.cpp",
        "old": "    kill_stopped_lock_holders([](const worker_slot&, segment_offset) { return true; }, 0);\n",
        "new": "",
        "program": "process", "cases": "a worker is stopped at any instruction*", "may_hang": True,
    },
    # -- what processes wait for ------------------------------------------------------------------------------------------
    {
        "name": "a dead owner's lock that looks as if it was given back",
        "file": "include/cairn/detail/sync/basic_mutex.hpp",
        "compile": ["src/sync/basic_mutex.cpp"],
        "old": "is_in_order ? hold_state::held : hold_state::owner_died",
        "new": "hold_state::held",
        "program": "process", "cases": "a killed owner's lock goes*",
    },
    {
        "name": "an event that is set, and wakes nobody",
        "file": "src/sync/event.cpp",
        "old": "    wake_all(tx, set_event);\n",
        "new": "",
        "program": "unit", "cases": "who sleeps on an event is woken*",
    },
    {
        "name": "a waiter that does not see an event which was cleared again",
        "file": "src/sync/event.cpp",
        "old": " || now / one_set != first / one_set;\n",
        "new": ";\n",
        "program": "process", "cases": "a waiter that is stopped while an event is set*", "may_hang": True,
    },
    {
        "name": "permits of the dead that nobody looks for",
        "file": "src/sync/basic_semaphore.cpp",
        "old": "    if (load_word(node.holder_count) == 0) return false;\n",
        "new": "    return false;\n",
        "program": "process", "cases": "the first who finds no permit looks for the dead*",
    },
    {
        "name": "a permit that is given back, and wakes nobody",
        "file": "src/sync/basic_semaphore.cpp",
        "old": "    wake(tx, permit_event,\n         static_cast<std::uint32_t>(\n             std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max())));\n    tx.publish(",
        "new": "    tx.publish(",
        "program": "unit", "cases": "who sleeps on a semaphore is woken*",
    },
    # -- exclusive periodics ---------------------------------------------------------------------------------------------
    {
        "name": "who takes over an exclusive periodic counts from then",
        "file": "src/periodic/periodic_claims.cpp",
        "old": "    if (const auto from = work->claim->said()) {\n",
        "new": "    if (const auto from = work->claim->said(); from && from->time_since_epoch().count() < 0) {\n",
        "program": "unit", "cases": "of two workers with one lock one runs it*",
    },
    {
        "name": "a lock that is given back at stop, although a run goes on",
        "file": "src/periodic/periodic_loop.cpp",
        "old": "        wait_while(held, &periodic_core::has_runs, no_deadline);\n",
        "new": "        held.unlock();\n        end_claims();\n        held.lock();\n        wait_while(held, &periodic_core::has_runs, no_deadline);\n",
        "program": "unit", "cases": "the lock is kept to the end of a run*",
    },
    # -- conditions, barriers and latches --------------------------------------------------------------------------------
    {
        "name": "a notification that a killed waiter takes along",
        "file": "src/sync/condition.cpp",
        "old": "        tx.store(n.released, next.released);\n        tx.commit();\n        is_any = true;\n",
        "new": "        tx.commit();\n        is_any = true;\n",
        "program": "process", "cases": "a notification of one who is killed before*", "may_hang": True,
    },
    {
        "name": "a mark of one who has given up, which nobody looks at",
        "file": "src/sync/condition.cpp",
        "old": "    return load_word(slot.given_up) != 0;\n",
        "new": "    return load_word(slot.given_up) == 7;\n",
        "program": "process", "cases": "a timed wait for a condition keeps its limit*", "may_hang": True,
    },
    {
        "name": "whoever has come last is notified first",
        "file": "src/sync/condition.cpp",
        "old": "each.ticket < longest->ticket",
        "new": "each.ticket > longest->ticket",
        "program": "unit", "cases": "each of many who wait is woken*",
    },
    {
        "name": "a waiter of a condition that is back before it has its mutex",
        "file": "src/sync/condition.cpp",
        "old": "        static_cast<void>(sleep_until_notified(*ticket, deadline, stop));\n",
        "new": "        if (sleep_until_notified(*ticket, deadline, stop))\n"
               "            static_cast<void>(come_back(*ticket, deadline, stop));\n",
        "program": "process", "cases": "a notification of one who is killed before*", "may_hang": True,
    },
    {
        "name": "a barrier that does not know who has come",
        "file": "src/sync/barrier.cpp",
        "old": "    be_member(tx);\n    tx.begin_change();\n",
        "new": "    tx.begin_change();\n",
        "program": "process", "cases": "a party of an earlier round that has ended*", "may_hang": True,
    },
    {
        "name": "a wait whose time is up, and breaks no barrier",
        "file": "src/sync/barrier.cpp",
        "old": "        if (n.round == mine.round) break_by(tx, barrier_end::timed_out, own_pid(tx.in()));\n",
        "new": "",
        "program": "unit", "cases": "Barrier.wait(timeout) breaks it*", "may_hang": True,
    },
    {
        "name": "a latch that lets pass before all have come",
        "file": "src/sync/latch.cpp",
        "old": "return load_word(word) == 0; };",
        "new": "return load_word(word) <= 1; };",
        "program": "unit", "cases": "a latch lets everybody pass once*",
    },
    # -- services with a name ---------------------------------------------------------------------------------------------
    {
        "name": "a second manager of a name that is not refused",
        "file": "src/service/service_manager.cpp",
        "old": "        if (const os::process_identity other = running_manager(node))\n",
        "new": "        if (const os::process_identity other = running_manager(node); other == 1)\n",
        "program": "process", "cases": "a second manager of the name is refused*", "may_hang": True,
    },
    {
        "name": "a guardian that does not send what its nursery had decided",
        "file": "src/service/supervisor.cpp",
        "old": "        else tell_again(record);\n",
        "new": "",
        "program": "fault", "cases": "*are killed at any call to the system while services*", "may_hang": True,
    },
    {
        "name": "a death that counts as written down before it is",
        "file": "src/service/worker_death.cpp",
        "old": "    const decided_death& death = table.decided;\n",
        "new": "    const decided_death& death = table.decided;\n    table.has_decided = 0;\n",
        "program": "unit", "cases": "the death of a worker is decided once*",
    },
    # -- names that are left ----------------------------------------------------------------------------------------------
    {
        "name": "a name left to a child that nobody looks at again",
        "file": "src/segment/left_names.cpp",
        "old": "    if (left_count.load() == 0 ||",
        "new": "    if (left_count.load() != 99 ||",
        "program": "process", "cases": "a name that was left to a forked child goes when*",
    },
    {
        "name": "a fork that failed, and that a left name waits for",
        "file": "src/segment/lifecycle.cpp",
        "old": "        os::wait_for_arrivals(longest_arrival, may_child_arrive, used.get());\n",
        "new": "",
        "program": "process", "cases": "a name that was left to a forked child goes also where*",
    },
    # -- locks ------------------------------------------------------------------------------------------------------------
    {
        "name": "an only lock that is not entered when another one comes",
        "file": "src/os/robust_mutex.cpp",
        "old": "void link_behind(stored_mutex& m) noexcept {\n    record_only_lock();\n",
        "new": "void link_behind(stored_mutex& m) noexcept {\n",
        "program": "unit", "cases": "the kernel's list of what a thread holds*",
    },
    {
        "name": "a writer that does not look for readers",
        "file": "src/sync/shared_mutex.cpp",
        "old": "        is_alone = wait_for_readers(deadline, stop);\n",
        "new": "        is_alone = true;\n",
        "program": "unit", "cases": "a writer waits for the readers that are in*", "may_hang": True,
    },
    {
        "name": "a writer that waits for the dead",
        "file": "src/sync/shared_mutex.cpp",
        "old": "        if (has_left(s, line)) return false;\n        found",
        "new": "        found",
        "program": "process", "cases": "a reader is killed: the writer that waits*", "may_hang": True,
    },
    {
        "name": "a writer's death that is not told",
        "file": "src/sync/shared_mutex.cpp",
        "old": "    if (is_stage(writer, writer_stage::is_in)) store_word(n.died, 1);\n",
        "new": "",
        "program": "crash", "rows": "shared_mutex unlock, after a pair",
    },
    {
        "name": "a writer that counts as in while it waits",
        "file": "src/sync/shared_mutex.cpp",
        "old": "    store_in_order(n.writer, static_cast<std::uint32_t>(writer_stage::comes));\n",
        "new": "    store_in_order(n.writer, static_cast<std::uint32_t>(writer_stage::is_in));\n",
        "program": "process", "cases": "a writer that is killed while it waits for readers*",
    },
    {
        "name": "a reader that stays in beside a writer that comes",
        "file": "src/sync/shared_mutex.cpp",
        "old": "    if (is_stage(load_in_order(node_ref().writer), writer_stage::none) &&\n",
        "new": "    if (\n",
        "program": "unit", "cases": "a writer waits for the readers that are in*", "may_hang": True,
    },
]
