// dead_writers.hpp - processes that are killed at the worst moments, so that there is something to repair.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <csignal>
#include <string>
#include <utility>

#include <unistd.h>

#include <doctest/doctest.h>

#include "segment/directory.hpp"
#include "segment/segment_guard.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

[[noreturn]] inline void die() {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
}

/// Overwrites every third of the first elements and the size of "numbers", and dies before the commit.
inline void die_in_a_change(const cairn::manager& m) {
    child victim([&] {
        const opened_list<long> l(m.list<long>("numbers"));
        cairn::detail::root_transaction tx(l.in(), l.slot(), l.generation());
        tx.begin_change();
        for (std::uint64_t i = 0; i < 30; i += 3)
            tx.store(*reinterpret_cast<std::uint64_t*>(cairn::detail::element_at(tx, l.node_ref(), i)),
                     0xbad);
        tx.store(l.node_ref().size, 5);
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
}

/// Sets the first elements of two lists to 7 in a transaction over both, and dies when that is decided, or right before it.
inline void die_in_a_transaction_over_two(const cairn::manager& m, const char* one, const char* other,
                                          bool is_decided) {
    child victim([&] {
        using namespace cairn::detail;
        const opened_list<long> first(m.list<long>(one));
        const opened_list<long> second(m.list<long>(other));
        const std::uint64_t link = std::uint64_t{first.in().slot_number(first.slot())} + 1;
        const std::uint64_t number = first.slot().committed + 1;
        root_transaction of_first(first.in(), first.slot(), first.generation());
        root_transaction of_second(second.in(), second.slot(), second.generation(), &of_first);
        first.slot().outstanding = std::uint64_t{first.in().slot_number(second.slot())} + 1;
        for (auto [list, tx] : {std::pair(&first, &of_first), std::pair(&second, &of_second)}) {
            list->slot().decided_number = number;
            list->slot().decided_root = link;
            tx->begin_change();
            tx->store(*reinterpret_cast<std::uint64_t*>(element_at(*tx, list->node_ref(), 0)), 7);
        }
        if (is_decided) first.slot().committed = number;
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
}

/// Has committed to erase texts[10:300], and dies before the first of them has gone.
inline void die_in_an_erase(const cairn::manager& m) {
    child victim([&] {
        const opened_list<std::string> l(m.list<std::string>("texts"));
        cairn::detail::root_transaction tx(l.in(), l.slot(), l.generation());
        cairn::detail::stored_operation& op = l.slot().operation;
        tx.begin_change();
        tx.store(op.phase, 0);
        tx.store(op.node, l.in().offset_of(&l.node_ref()));
        tx.store(op.progress, 0);
        tx.store(op.arguments[0], 10);
        tx.store(op.arguments[1], 300);
        tx.store(op.arguments[2], l.node_ref().size);
        tx.store(op.kind, static_cast<std::uint32_t>(cairn::detail::operation_kind::list_erase));
        tx.commit();
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
}

/// Dies while it makes an object, and holds the segment's lock.
inline void die_with_the_segment_lock(const cairn::manager& m) {
    child victim([&] {
        const opened_list<double> l(m.list<double>("empty"));
        cairn::detail::segment_guard guard(l.in());
        static_cast<void>(cairn::detail::begin_root(guard, "half made", cairn::detail::object_kind::list));
        guard.store(guard.control().free_pages, 1);
        guard.store(guard.control().live_root_count, 77);
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
}

/// Dies while it makes an object in parts: several roots are pending.
inline void die_with_half_of_the_shards(const cairn::manager& m) {
    child victim([&] {
        using namespace cairn::detail;
        const opened_list<double> l(m.list<double>("empty"));
        segment_guard guard(l.in());
        root_slot& whole = begin_root(guard, "half made", object_kind::sharded_dict);
        for (int i = 0; i < 5; ++i) {
            root_slot& part = begin_part(guard, whole, object_kind::dict);
            root_transaction tx(guard, part);
            static_cast<void>(allocate(tx, 5000));
        }
        guard.store(guard.control().free_pages, 1);
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
}

}  // namespace cairn_test
