// segment_guard.hpp - the segment's own lock, with its undo log.
//
// Roots are locked first, the segment last; its holder waits for no root's. What the guard has stored and not committed when
// it goes is taken back, for whatever reason it goes. Locking repairs what a dead holder left: first its log, then the
// root it was building or erasing.
//
// It is also this thread's innermost operation: a signal handler that interrupts it gets would_deadlock before it has
// locked anything. With a root's lock it could neither take memory nor roll back nor recover what a dead owner left.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/os/thread_state.hpp>
#include <cairn/detail/segment/segment.hpp>
#include <cairn/detail/segment/undo_log.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class segment_guard : private open_transaction {
public:
    /// Throws corrupt_segment when the segment's own log or lists are damaged, refused in threads that cannot lock, and
    /// limit_reached or timeout_error where this thread's operation, or the manager, has a limit.
    explicit segment_guard(segment& s);
    segment_guard(const segment_guard&) = delete;
    segment_guard& operator=(const segment_guard&) = delete;
    ~segment_guard();

    [[nodiscard]] segment& in() const noexcept { return segment_; }
    [[nodiscard]] segment_control& control() const noexcept { return segment_.control(); }

    /// Records the old bytes (8-aligned, or one aligned word of less).
    /// Throws corrupt_segment when the log is full: a transaction of a sound segment fits.
    void log(const void* address, std::uint64_t bytes);

    template <word T>
    void store(T& to, std::type_identity_t<T> value) {
        log(&to, sizeof(T));
        store_word(to, value);
    }

    [[nodiscard]] bool is_clean() const noexcept { return load_word(control().log_bytes) == 0; }

    /// One store: from here on it is done.
    void commit() noexcept;
    void roll_back();

    /// The entry of page `link - 1`, a link read from the segment; throws corrupt_segment when there is no such page.
    [[nodiscard]] page_entry& entry(std::uint32_t link) const;

private:
    void recover();
    bool undo() noexcept;
    void forget_log() noexcept;
    void leave() noexcept;
    void forget() noexcept;

    segment& segment_;
};

undo_log segment_log(const segment& s) noexcept;

[[noreturn]] void throw_corrupt(const segment& s, const char* what);

}  // namespace cairn::inline CAIRN_ABI::detail
