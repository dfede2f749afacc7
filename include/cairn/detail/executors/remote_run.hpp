// remote_run.hpp - what a worker process calls, and what it is given: a task that was submitted in another process.
//
// The entry is a function that both know by its address: workers are forked from the program, and have its code where it has it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>

#include <cairn/detail/base/export.hpp>
#include <cairn/once_id.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// One run of a task's items in a worker. The entry calls begin_item(), and then exactly one of add_value() and add_exception(), for
/// each of the items from first() on, as long as may_go_on().
class CAIRN_API remote_run {
public:
    remote_run(const remote_run&) = delete;
    remote_run& operator=(const remote_run&) = delete;
    virtual ~remote_run() = default;

    /// What the submitter has encoded. Valid, and the same, during the whole run.
    [[nodiscard]] std::span<const std::byte> input() const noexcept { return input_; }
    [[nodiscard]] std::uint32_t first() const noexcept { return first_; }
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

    /// From here on the item counts as started: before anything of the user's runs for it, decoding included.
    void begin_item();
    /// Room for the item's result, of `bytes`. It counts with end_item().
    /// @throws segment_full
    [[nodiscard]] std::byte* add_value(std::size_t bytes);
    void end_item() noexcept;
    /// Where add_value() of so many bytes will be, for who makes the result there; null where that is not known. Until then, only once
    /// for each item.
    [[nodiscard]] virtual std::byte* room_ahead(std::size_t bytes) = 0;
    /// In a handler: the item has ended by that exception. Throws on what is none (pthread_exit).
    void add_exception();
    /// Whether this worker is to do the next item, too.
    [[nodiscard]] bool may_go_on() const noexcept { return done_ < last_; }

    [[nodiscard]] virtual bool is_asked_to_stop() const noexcept = 0;
    [[nodiscard]] virtual std::stop_token stop_token() = 0;
    [[nodiscard]] virtual int attempt() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t id() const noexcept = 0;
    /// Of the item that runs, the same in all its attempts.
    [[nodiscard]] virtual once_id once() const noexcept = 0;

protected:
    remote_run(std::span<const std::byte> input, std::uint32_t first, std::uint32_t count,
               std::uint32_t last) noexcept
        : input_(input), first_(first), count_(count), last_(last), done_(first) {}

    /// The item that runs, or is the next one.
    [[nodiscard]] std::uint32_t item() const noexcept { return done_; }
    virtual void item_begins(std::uint32_t index) = 0;
    virtual void item_has_ended(std::uint32_t index) noexcept = 0;
    virtual std::byte* room_for(std::size_t bytes, bool is_exception) = 0;

private:
    std::span<const std::byte> input_;
    std::uint32_t first_;
    std::uint32_t count_;
    std::uint32_t last_;  // items up to here are this worker's
    std::uint32_t done_;
};

using task_entry = void (*)(remote_run& run);

}  // namespace cairn::inline CAIRN_ABI::detail
