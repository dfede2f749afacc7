// per_process.hpp - what belongs to one process, and not to its forked children: flags of a thread, and global objects. A child makes its
// own: its parent's locks may be taken, and the threads are not there.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/os/thread_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Which process this is: changes with a fork.
inline std::uint64_t own_process_mark() noexcept {
    return *process_mark;
}

/// Of a thread: once it is set, it is so in this process. In a child that the thread forks it is not.
class process_flag {
public:
    void set() noexcept { set_in_ = own_process_mark(); }
    explicit operator bool() const noexcept { return set_in_ == own_process_mark(); }

private:
    std::uint64_t set_in_ = 1;  // the mark of no process
};

/// The objects are never destroyed: they are for whatever runs last.
template <typename T>
class per_process {
public:
    constexpr per_process() noexcept = default;

    /// @throws std::bad_alloc, at the first use in a process
    T& get() {
        for (;;) {
            // acquire: pairs with the exchange below; the object is whole
            made* now = object_.load(std::memory_order_acquire);
            if (now != nullptr && now->by == own_process_mark()) return now->object;
            made* const mine = new made;
            mine->before = now;
            if (object_.compare_exchange_strong(now, mine, std::memory_order_acq_rel)) return mine->object;
            delete mine;
        }
    }
    /// Null where this process has none.
    [[nodiscard]] T* find() noexcept {
        made* const now = object_.load(std::memory_order_acquire);
        return now != nullptr && now->by == own_process_mark() ? &now->object : nullptr;
    }

private:
    struct made {
        T object{};
        std::uint64_t by = own_process_mark();
        made* before = nullptr;  // the parent's: not ours to destroy, and not lost
    };
    std::atomic<made*> object_{nullptr};
};

}  // namespace cairn::inline CAIRN_ABI::detail
