// frames.hpp - the results of a task's items, one behind the other.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "pool/pool_layout.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// Goes through frames, which are input: nothing outside of `bytes` is read.
class frame_reader {
public:
    explicit frame_reader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

    /// False where no whole frame is left.
    bool next(frame_kind& kind, std::span<const std::byte>& payload) noexcept {
        result_frame frame{};
        if (rest_.size() < sizeof frame) return false;
        copy_out_fixed<sizeof frame>(&frame, rest_.data());
        if (frame.bytes > rest_.size() - sizeof frame) return false;
        kind = frame.kind;
        payload = rest_.subspan(sizeof frame, frame.bytes);
        const std::uint64_t whole = frame_bytes(frame.bytes);
        rest_ = rest_.subspan(whole < rest_.size() ? whole : rest_.size());
        return true;
    }
    [[nodiscard]] std::size_t rest() const noexcept { return rest_.size(); }

private:
    std::span<const std::byte> rest_;
};

/// Where the frame after the first `count` begins; the largest number when there are fewer.
inline std::uint64_t end_of_frames(const std::byte* begin, std::uint64_t bytes,
                                   std::uint32_t count) noexcept {
    frame_reader reader(std::span(begin, bytes));
    frame_kind kind{};
    std::span<const std::byte> payload;
    for (; count != 0; --count)
        if (!reader.next(kind, payload)) return std::numeric_limits<std::uint64_t>::max();
    return bytes - reader.rest();
}

}  // namespace cairn::inline CAIRN_ABI::detail
