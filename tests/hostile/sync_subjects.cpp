// sync_subjects.cpp - locks and the like in damaged segments: every operation, with a limit where one could wait for ever.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <span>
#include <sstream>
#include <thread>

#include "subjects.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

constexpr auto soon = std::chrono::milliseconds(1);

// Its owner has died: what is stored says so.
template <typename Lock>
void build_lock(const cairn::manager& in, const char* name) {
    const Lock l = [&] {
        if constexpr (std::is_same_v<Lock, cairn::mutex>) return in.lock(name);
        else return in.rlock(name);
    }();
    std::thread([&] { l.lock(); }).join();
}

template <typename Lock>
void read_lock(const Lock& l, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(l.name()); });
    attempt("is_locked", [&] { static_cast<void>(l.is_locked()); });
    attempt("is_owned", [&] { static_cast<void>(l.is_owned()); });
    attempt("owner_died", [&] { static_cast<void>(l.owner_died()); });
    attempt("fence", [&] { static_cast<void>(l.fence()); });
    attempt("operator<<", [&] { std::ostringstream() << l; });
}

template <typename Lock>
void write_lock(const Lock& l, attempts& attempt) {
    attempt("unlock", [&] { l.unlock(); });
    attempt("mark_consistent", [&] { l.mark_consistent(); });
    for (int i = 0; i < 2; ++i) {
        bool has_it = false;
        attempt("try_lock", [&] { has_it = l.try_lock(); });
        if (!has_it) attempt("try_lock_for", [&] { has_it = l.try_lock_for(soon); });
        if (!has_it) continue;
        attempt("try_lock", [&] {
            if (l.try_lock()) l.unlock();
        });
        attempt("mark_consistent", [&] { l.mark_consistent(); });
        attempt("fence", [&] { static_cast<void>(l.fence()); });
        // What it takes to have it no more, however often the damage says that it was taken.
        attempt("unlock", [&] {
            for (int left = 8; left != 0 && l.is_owned(); --left) l.unlock();
        });
    }
}

template <typename Lock>
constexpr subject lock_of(const char* name) {
    return {name, &build_lock<Lock>, &open_as<Lock, &read_lock<Lock>, &write_lock<Lock>>};
}

constexpr subject all[] = {
    lock_of<cairn::mutex>("lock"),
    lock_of<cairn::recursive_mutex>("rlock"),
};

}  // namespace

std::span<const subject> sync_subjects() {
    return all;
}

}  // namespace cairn_test
