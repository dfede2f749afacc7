// SPDX-License-Identifier: BSL-1.0
#include "segment/left_names.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <new>
#include <string>
#include <string_view>

#include "os/fork_count.hpp"
#include "os/probe.hpp"
#include "segment/internals.hpp"
#include "segment/lifecycle.hpp"
#include "segment/participants.hpp"
#include "segment/registry.hpp"
#include <cairn/detail/base/words.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

struct left_name {
    os::file_facts file;
    os::process_identity living =
        0;  // somebody who had it at the last look: nothing is to be done before that one has ended
    std::array<char, sizeof(segment_header::name)> name{};  // terminated
};

// Chosen freely, and in an array: a forked child must be able to forget them without giving memory back. Under the registry's lock.
constexpr std::size_t most_left_names = 32;
constinit std::array<left_name, most_left_names> names_left;
constinit std::atomic<std::size_t> left_count = 0;

// Under the registry's lock; the order stays, oldest first.
void forget(const os::file_facts& file) noexcept {
    const auto begin = names_left.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(left_count.load());
    const auto is_it = [&](const left_name& each) { return each.file.same_file(file); };
    left_count.store(static_cast<std::size_t>(std::remove_if(begin, end, is_it) - begin));
}

void remember(const left_name& added) noexcept {
    const registry::lock held;
    forget(added.file);
    if (left_count.load() == most_left_names) forget(names_left.front().file);
    names_left[left_count.fetch_add(1)] = added;
}

// Of this process, and a participant. 0 where there is none, or /proc does not tell.
os::process_identity find_child_in(const segment& s) {
    if (const auto forks = os::living_forks()) {
        for (const pid_t child : *forks) {
            const os::process_identity identity = os::identity_of(child);
            if (identity != 0 && is_participant(s, identity)) return identity;
        }
    }
    return 0;
}

// False when nothing is left to do for it.
bool look_again(left_name& each) noexcept {
    if (os::is_alive(each.living)) return true;
    try {
        const auto living = clear_away(path_of(each.name.data()), each.file);
        if (!living) return true;
        each.living = *living;
        return each.living != 0;
    } catch (const limit_reached&) {
        return true;
    } catch (const std::bad_alloc&) {
        return true;
    } catch (const error&) {
        return false;  // damaged, or no longer ours: `shmctl gc` says so
    }
}

}  // namespace

void note_left_name(const segment& s) noexcept {
    if (s.is_anonymous() || s.header().persist != 0 || load_word(s.control().retired) != 0 ||
        !os::has_forked())
        return;
    try {
        left_name added;
        added.living = find_child_in(s);
        if (added.living == 0) return;
        added.file = s.internals().file;
        const std::string_view name = s.name();
        std::copy_n(name.data(), std::min(name.size(), added.name.size() - 1), added.name.data());
        remember(added);
    } catch (const std::bad_alloc&) {
        // Then nobody looks again, and the name stays as that of a killed process does.
    }
}

void settle_left_names() noexcept {
    if (left_count.load() == 0 || is_raw_child() || this_thread.open != nullptr) return;
    for (std::size_t i = 0; i < most_left_names; ++i) {
        left_name each;
        {
            const registry::lock held;
            if (i >= left_count.load()) return;
            each = names_left[i];
        }
        // Without the registry's lock: it may wait for the segment's.
        const bool stays = look_again(each);
        const registry::lock held;
        if (i >= left_count.load() || !names_left[i].file.same_file(each.file))
            return;  // another thread is at it
        if (stays) {
            names_left[i] = each;
        } else {
            forget(each.file);
            --i;
        }
    }
}

void forget_left_names() noexcept {
    left_count.store(0);
}

}  // namespace cairn::inline CAIRN_ABI::detail
