// child_report.hpp - what a child says about its end: its exit code, and the exception that ended it.
//
// Stored        in anonymous shared memory that parent and child have in common; never in a segment, never on disk.
// Written by    the child only, once, just before it ends. Read by the parent, after it has ended.
// Protected by  nothing but that order: the flags are stored last, each with release, after what they vouch for.
// Death         before the flag: the parent sees no report and goes by what the kernel says. After: the report is
//               whole. The child may have been out of its mind, so the parent checks the lengths.
//
// A page rather than a pipe: it needs no descriptor, cannot block a writer, and a grandchild that inherits it keeps
// nobody waiting.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <type_traits>

#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

//   0              4                8             12            16      512            4096
//   | exit_code_   | has_exception_ | type_bytes_ | text_bytes_ | type_ | text_         |
class child_report {
public:
    static constexpr std::size_t type_capacity_bytes = 496;
    static constexpr std::size_t text_capacity_bytes = 3584;

    /// Maps a fresh one, to be shared with children forked from now on.
    struct unmap {
        void operator()(child_report* report) const noexcept;
    };
    using pointer = std::unique_ptr<child_report, unmap>;
    static std::error_code create(pointer& report) noexcept;

    // The child's side. None of these allocates on purpose: std::bad_alloc wants to be reported, too.

    /// Records the exception being handled. To be called in a catch block.
    void record_current_exception() noexcept;
    /// Records the code with which the child is about to end.
    void record_exit_code(int code) noexcept;

    // The parent's side; the child may look as well.

    [[nodiscard]] bool has_exception() const noexcept;
    /// Type and text of the exception, empty when there is none; only what fits, "..." in place of the rest.
    [[nodiscard]] std::string_view type() const noexcept;
    [[nodiscard]] std::string_view text() const noexcept;
    [[nodiscard]] std::optional<remote_error> exception() const;
    [[nodiscard]] std::optional<int> exit_code() const noexcept;

private:
    child_report() = default;

    std::atomic<std::int32_t> exit_code_ = -1;      // set by the child right before it ends; -1: not said
    std::atomic<std::uint32_t> has_exception_ = 0;  // 1 once the four fields below are complete
    std::uint32_t type_bytes_ = 0;
    std::uint32_t text_bytes_ = 0;
    char type_[type_capacity_bytes] = {};
    char text_[text_capacity_bytes] = {};
};
static_assert(std::is_standard_layout_v<child_report> && sizeof(child_report) == 4096);
static_assert(std::atomic<std::int32_t>::is_always_lock_free,
              "a lock would be a different one in each process");

}  // namespace cairn::inline CAIRN_ABI::detail
